import { parseJson } from '../../core/json.ts';
import { generatedTokens } from './answer.ts';
import { Skeleton } from './skeleton.ts';
import { type EventEnds, EventSplitter, eventData, type Fate } from './sse.ts';
import type { Dialect, Framing, Reading, StreamMeter } from './types.ts';

/** The common part of all meters: it cuts a stream into events and reads each event once. */
export abstract class EventMeter implements StreamMeter {
  phase: StreamMeter['phase'] = 'preamble';
  errorBody: string | undefined;
  complete = false;
  protected servedModel: string | undefined;
  readonly #splitter: EventSplitter;
  #outputTokens: number | null = null;

  constructor(ends: EventEnds) {
    this.#splitter = new EventSplitter(ends, (event) => {
      if (this.#outputTokens !== null) this.#outputTokens += this.#outputOf(event);
      return this.onEvent(event);
    });
  }

  get ended(): boolean {
    return this.complete;
  }

  countOutput(): void {
    this.#outputTokens ??= 0;
  }

  get outputTokens(): number | null {
    return this.#splitter.hasSkipped ? null : this.#outputTokens;
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

  /** The JSON text of an event; null: it has none (a comment). */
  protected dataOf(event: Buffer): string | null {
    return eventData(event);
  }

  /** Bound of the tokens that were generated for an event, given as its JSON value. */
  protected generated(event: unknown): number {
    return generatedTokens(event);
  }

  /** Bound of an event's tokens. What is not JSON counts as text. */
  #outputOf(event: Buffer): number {
    const data = this.dataOf(event);
    return data === null || data === '[DONE]' ? 0 : this.generated(parseJson(data) ?? data);
  }

  /** Notes content, possibly after an error. Nothing that follows changes that phase. */
  protected noteContent(): void {
    this.phase = 'content';
  }

  /** Notes an error, given as its JSON value; the first one wins. */
  protected noteError(value: unknown): void {
    this.errorBody ??= JSON.stringify(value);
    if (this.phase === 'preamble') this.phase = 'error';
  }
}

const beginsAsEvents = /^\ufeff?\s*(?:data|event|id|retry)?:/;

/** Reads an answer that was held whole: one JSON value, or events that the server sent although the caller requested none. */
export function readHeld(dialect: Dialect, body: Buffer): Reading {
  const reading = dialect.readUsage(body);
  if (reading.usage !== null || !beginsAsEvents.test(body.toString('utf8', 0, 64))) return reading;
  const meter = dialect.meterStream('keep');
  meter.push(body);
  meter.flush();
  return meter.complete ? meter.reading() : reading;
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
    ended: false,
    countOutput: () => {},
    outputTokens: null,
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
    get ended() {
      return skeleton.isWhole;
    },
    countOutput: () => {},
    outputTokens: null,
    reading() {
      const text = skeleton.text();
      return text === null ? { usage: null } : readUsage(text);
    },
  };
}
