import { type EventEnds, EventSplitter, type Fate } from './sse.ts';
import type { Framing, Reading, StreamMeter } from './types.ts';

/** What the meters of all dialects share: a stream is cut into events, and each event is read once. */
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

  /** An answer that has begun stays content, whatever follows. */
  protected noteContent(): void {
    if (this.phase === 'preamble') this.phase = 'content';
  }

  /** `value` is the JSON of the error; the first one stays. */
  protected noteError(value: unknown): void {
    this.errorBody ??= JSON.stringify(value);
    if (this.phase === 'preamble') this.phase = 'error';
  }
}

/** For dialects that never stream: bytes pass, nothing is read, and the answer is never known to be whole. */
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
