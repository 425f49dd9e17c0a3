import { parseJson } from '../../core/json.ts';

/** Byte ranges of the values of one object's members, by key. */
export type Members = ReadonlyMap<string, { readonly start: number; readonly end: number }>;

/** Deeper bodies are refused: no dialect needs them, and recursive readers downstream would break. */
const maxDepth = 128;
/**
 * Maximum of containers and members together. A parser takes 100 to 150 bytes of heap for two bytes of `[]`, and half a
 * microsecond: so many take 20 MB and hold the event loop for 50 ms. The largest requests of agents have a fifth of them.
 */
const maxParts = 100_000;
/** Maximum of commas: the tokens of the largest batch of embeddings that a provider accepts (300,000), and room. */
const maxCommas = 500_000;

const quote = 0x22;
const backslash = 0x5c;
const nearBytes = 32;

/**
 * Position of the quote that ends the string whose content starts at `from`; -1 if there is none before `end`.
 * It reads short strings byte by byte and searches long ones.
 */
function stringEnd(bytes: Buffer, from: number, end: number): number {
  let at = from;
  for (;;) {
    const near = Math.min(at + nearBytes, end);
    while (at < near) {
      const byte = bytes[at];
      if (byte === quote) return at;
      at += byte === backslash ? 2 : 1;
    }
    const found = bytes.indexOf(quote, at);
    if (found < 0 || found >= end) return -1;
    let slashes = 0;
    while (found - slashes > at && bytes[found - slashes - 1] === backslash) slashes += 1;
    if (slashes % 2 === 0) return found;
    at = found + 1;
  }
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/**
 * One pass over an object's bytes, before anything is parsed: it bounds what a parser would make of them, counts the colons
 * outside strings (members at every depth) and notes the positions of the values of the object's own members. It may pause
 * and read on. Correct for valid JSON only; harmless otherwise.
 */
export class Scan {
  readonly members: Map<string, { readonly start: number; readonly end: number }> = new Map();
  readonly #bytes: Buffer;
  readonly #end: number;
  #at: number;
  #colons = 0;
  #commas = 0;
  #containers = 0;
  #depth = 0;
  #keyStart = 0;
  #keyEnd = 0;
  /** Start of the open value at depth 1; 0 before a key. */
  #valueStart = 0;
  #escapedKey: string | null = null;
  #broken: string | null = null;

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** Members of all objects, as written. */
  get colons(): number {
    return this.#colons;
  }

  get isDone(): boolean {
    return this.#at >= this.#end;
  }

  /** Why the bytes cannot be read, as far as they were scanned; null: nothing is wrong. */
  get problem(): string | null {
    if (this.#broken !== null) return this.#broken;
    if (this.#containers + this.#colons > maxParts) return `it has more than ${maxParts} lists, objects and members; send less at once`;
    if (this.#commas > maxCommas) return `it has more than ${maxCommas} elements; send less at once`;
    return null;
  }

  /** A key of the object's own that is written with escapes, as it is written; null: there is none. */
  get escapedKey(): string | null {
    return this.#escapedKey;
  }

  /** Reads about `most` more bytes: a string is never cut. */
  run(most: number): void {
    const bytes = this.#bytes;
    const end = this.#end;
    const stop = Math.min(this.#at + most, end);
    let at = this.#at;
    let depth = this.#depth;
    let colons = 0;
    let commas = 0;
    let containers = 0;
    for (; at < stop; at += 1) {
      switch (bytes[at]) {
        case quote:
          if (depth === 1 && this.#valueStart === 0) this.#keyStart = at + 1;
          at = stringEnd(bytes, at + 1, end);
          if (at < 0) {
            this.#stop('a string does not end');
            return;
          }
          if (depth === 1 && this.#valueStart === 0) this.#keyEnd = at;
          break;
        case 0x3a: // :
          colons += 1;
          if (depth === 1) this.#valueStart = at + 1;
          break;
        case 0x7b: // {
        case 0x5b: // [
          containers += 1;
          depth += 1;
          if (depth > maxDepth) {
            this.#stop(`it is nested deeper than ${maxDepth} levels`);
            return;
          }
          break;
        case 0x2c: // ,
          commas += 1;
          if (depth === 1 && this.#valueStart > 0) this.#endMember(at);
          break;
        case 0x7d: // }
        case 0x5d: // ]
          if (depth === 1 && this.#valueStart > 0) this.#endMember(at);
          depth -= 1;
          break;
        default:
      }
    }
    this.#at = at;
    this.#depth = depth;
    this.#colons += colons;
    this.#commas += commas;
    this.#containers += containers;
  }

  #stop(problem: string): void {
    this.#broken = problem;
    this.#at = this.#end;
  }

  #endMember(at: number): void {
    const written = this.#bytes.toString('utf8', this.#keyStart, this.#keyEnd);
    const isEscaped = written.includes('\\');
    if (isEscaped) this.#escapedKey ??= written.slice(0, 64);
    const key = isEscaped ? String(parseJson(`"${written}"`)) : written;
    this.members.set(key, this.#trimmed(this.#valueStart, at));
    this.#valueStart = 0;
  }

  #trimmed(from: number, to: number): { readonly start: number; readonly end: number } {
    const bytes = this.#bytes;
    let start = from;
    let end = to;
    while (isSpace(bytes[start])) start += 1;
    while (end > start && isSpace(bytes[end - 1])) end -= 1;
    return { start, end };
  }
}
