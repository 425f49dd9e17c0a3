import { type EventEnds, SseEnds } from '../sse.ts';
import type { Framing } from '../types.ts';

const quote = 0x22;
const backslash = 0x5c;
const openingBracket = 0x5b;

/** Finds the ends of the elements of one JSON array that arrives in pieces. Each event ends at its element's last brace. */
export class ElementEnds implements EventEnds {
  #depth = 0;
  #inString = false;
  #escaped = false;

  next(chunk: Buffer, from: number): number {
    for (let at = from; at < chunk.length; at += 1) {
      const byte = chunk[at] as number;
      if (this.#inString) this.#readString(byte);
      else if (this.#endsElement(byte)) return at + 1;
    }
    return -1;
  }

  #readString(byte: number): void {
    if (this.#escaped) this.#escaped = false;
    else if (byte === backslash) this.#escaped = true;
    else if (byte === quote) this.#inString = false;
  }

  /** True at the brace that ends an element, or the bracket that ends the array. */
  #endsElement(byte: number): boolean {
    if (byte === quote) this.#inString = true;
    else if (byte === 0x7b || byte === openingBracket) this.#depth += 1;
    else if (byte === 0x7d || byte === 0x5d) {
      this.#depth -= 1;
      return this.#depth <= 1;
    }
    return false;
  }
}

/** Finds the ends of the events of a Gemini stream, whose first byte shows its framing. */
export class GeminiEnds implements EventEnds {
  #framing: Framing = 'sse';
  #ends: EventEnds | null = null;

  /** `sse` until the first byte is known. */
  get framing(): Framing {
    return this.#framing;
  }

  next(chunk: Buffer, from: number): number {
    if (this.#ends === null) {
      const first = chunk.subarray(from).find((byte) => byte > 0x20);
      if (first === undefined) return -1;
      this.#framing = first === openingBracket ? 'array' : 'sse';
      this.#ends = this.#framing === 'array' ? new ElementEnds() : new SseEnds();
    }
    return this.#ends.next(chunk, from);
  }
}
