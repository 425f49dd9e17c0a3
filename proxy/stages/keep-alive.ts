import type { ServerResponse } from 'node:http';

/** Parsers of events ignore a line that begins with a colon: WHATWG HTML, 9.2.6. */
const comment = Buffer.from(': keep-alive\n\n');
const eventEnds = ['\n\n', '\r\r', '\r\n\r\n'].map((end) => Buffer.from(end));

interface KeepAlivePlan {
  /** Silence after which a comment is sent. */
  readonly everyMs: number;
  /** The headers of a stream that begins with a comment, flat. */
  readonly headers: () => readonly string[];
}

/**
 * Sends comments to the client of an event stream while its provider is silent, so that no hop on the way cuts an idle
 * connection. The first one sends status 200: what fails later can only be an error event. Owned by one call.
 */
export class KeepAlive implements Disposable {
  readonly #response: ServerResponse;
  readonly #headers: KeepAlivePlan['headers'];
  readonly #timer: NodeJS.Timeout;
  #isBetweenEvents = true;

  constructor(response: ServerResponse, { everyMs, headers }: KeepAlivePlan) {
    this.#response = response;
    this.#headers = headers;
    this.#timer = setInterval(() => this.#send(), everyMs);
  }

  /** Notes bytes that the client receives. If they end within an event, no comment follows them. */
  onPassed(bytes: Buffer): void {
    this.#timer.refresh();
    this.#isBetweenEvents = eventEnds.some((end) => bytes.subarray(-end.length).equals(end));
  }

  #send(): void {
    const response = this.#response;
    // A client that does not read needs no comments.
    if (!this.#isBetweenEvents || response.destroyed || response.writableEnded || response.writableNeedDrain) return;
    if (!response.headersSent) {
      response.writeHead(200, ['content-type', 'text/event-stream', 'cache-control', 'no-cache', ...this.#headers()]);
    }
    response.write(comment);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
