import { Skeleton } from './skeleton.ts';
import { type EventEnds, EventSplitter, type Fate } from './sse.ts';
import type { Framing, Reading, StreamMeter } from './types.ts';

/** The common part of all meters: it cuts a stream into events and reads each event once. */
export abstract class EventMeter implements StreamMeter {
  phase: StreamMeter['phase'] = 'preamble';
  errorBody: string | undefined;
  complete = false;
  protected servedModel: string | undefined;
  readonly #splitter: EventSplitter;

  constructor(ends: EventEnds) {
    this.#splitter = new EventSplitter(ends, (event) => this.onEvent(event));
  }

  get framing(): Framing {
    return 'sse';
  }

  push(chunk: Buffer): readonly Buffer[] {
    return this.#splitter.push(chunk);
  }

  flush(): readonly Buffer[] {
    return this.#splitter.flush();
  }

  abstract reading(): Reading;

  protected abstract onEvent(event: Buffer): Fate;

  /** Notes content. Nothing that follows changes that phase. */
  protected noteContent(): void {
    if (this.phase === 'preamble') this.phase = 'content';
  }

  /** Notes an error, given as its JSON value; the first one wins. */
  protected noteError(value: unknown): void {
    this.errorBody ??= JSON.stringify(value);
    if (this.phase === 'preamble') this.phase = 'error';
  }
}

/** The meter of dialects that never stream: it passes bytes unread, and never reports a complete answer. */
export function meterNothing(): StreamMeter {
  return {
    push: (chunk) => [chunk],
    flush: () => [],
    framing: 'sse',
    phase: 'content',
    errorBody: undefined,
    complete: false,
    reading: () => ({ usage: null }),
  };
}

/** Meters an answer that is one JSON value and too large to hold: it passes every byte at once and reads the skeleton at the end. */
export function meterLarge(readUsage: (body: Buffer) => Reading): StreamMeter {
  const skeleton = new Skeleton();
  return {
    push(chunk) {
      skeleton.push(chunk);
      return [chunk];
    },
    flush: () => [],
    framing: 'sse',
    phase: 'content',
    errorBody: undefined,
    get complete() {
      return skeleton.isWhole;
    },
    reading() {
      const text = skeleton.text();
      return text === null ? { usage: null } : readUsage(text);
    },
  };
}
