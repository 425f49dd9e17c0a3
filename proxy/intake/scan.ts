import { parseJson } from '../../core/json.ts';
import type { Pieces } from './pieces.ts';
import { stringEnd } from './string-end.ts';

/** Part of a body's bytes. */
export interface Range {
  readonly start: number;
  /** The position after it. */
  readonly end: number;
}

/** Byte ranges of the values of one object's members, by key. */
export type Members = ReadonlyMap<string, Range>;

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

/** True for white space of JSON. */
export function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/**
 * One pass over an object's bytes, before anything is parsed: it bounds what a parser would make of them, counts the colons
 * outside strings (members at every depth) and notes the positions of the values of the object's own members. It may pause
 * and read on. Correct for valid JSON only; harmless otherwise.
 */
export class Scan {
  readonly members: Map<string, Range> = new Map();
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
  /** True after a pause within a string. */
  #inString = false;
  /** Receives the positions of the containers; null: nobody asks. */
  readonly #pieces: Pieces | null;

  constructor(bytes: Buffer, { start, end }: Range, pieces: Pieces | null = null) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#pieces = pieces;
  }

  /** Members of all objects, as written. */
  get colons(): number {
    return this.#colons;
  }

  /** Lists, objects and members: what a parser takes time and memory for. */
  get parts(): number {
    return this.#containers + this.#colons;
  }

  get isDone(): boolean {
    return this.#at >= this.#end;
  }

  /** Why the bytes cannot be read, as far as they were scanned; null: nothing is wrong. */
  get problem(): string | null {
    if (this.#broken !== null) return this.#broken;
    if (this.parts > maxParts) return `it has more than ${maxParts} lists, objects and members; send less at once`;
    if (this.#commas > maxCommas) return `it has more than ${maxCommas} elements; send less at once`;
    return null;
  }

  /** A key of the object's own that is written with escapes, as it is written; null: there is none. */
  get escapedKey(): string | null {
    return this.#escapedKey;
  }

  /** Reads about `most` more bytes. It ends within a string only if that has very many escapes. */
  run(most: number): void {
    const bytes = this.#bytes;
    const end = this.#end;
    const stop = Math.min(this.#at + most, end);
    const pieces = this.#pieces;
    let depth = this.#depth;
    let at = this.#inString ? this.#endString(this.#at, depth) + 1 : this.#at;
    let colons = 0;
    let commas = 0;
    let containers = 0;
    for (; at < stop && !this.#inString; at += 1) {
      switch (bytes[at]) {
        case quote:
          at = this.#readString(at + 1, depth);
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
          pieces?.open(depth, at);
          break;
        case 0x2c: // ,
          commas += 1;
          if (depth === 1) this.#endMember(at);
          break;
        case 0x7d: // }
        case 0x5d: // ]
          if (depth === 1) this.#endMember(at);
          pieces?.close(depth, at);
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

  #readString(from: number, depth: number): number {
    if (depth === 1 && this.#valueStart === 0) this.#keyStart = from;
    return this.#endString(from, depth);
  }

  /** Reads a string on from here; returns the position of the quote that ends it, or the one before a pause. */
  #endString(from: number, depth: number): number {
    const found = stringEnd(this.#bytes, from, this.#end);
    this.#inString = found < -1;
    if (this.#inString) return ~found - 1;
    if (found < 0) {
      this.#stop('a string does not end');
      return this.#end;
    }
    if (depth === 1 && this.#valueStart === 0) this.#keyEnd = found;
    return found;
  }

  #stop(problem: string): void {
    this.#broken = problem;
    this.#at = this.#end;
  }

  #endMember(at: number): void {
    if (this.#valueStart === 0) return;
    const written = this.#bytes.toString('utf8', this.#keyStart, this.#keyEnd);
    const isEscaped = written.includes('\\');
    if (isEscaped) this.#escapedKey ??= written.slice(0, 64);
    const key = isEscaped ? String(parseJson(`"${written}"`)) : written;
    this.members.set(key, this.#trimmed(this.#valueStart, at));
    this.#valueStart = 0;
  }

  #trimmed(from: number, to: number): Range {
    const bytes = this.#bytes;
    let start = from;
    let end = to;
    while (isSpace(bytes[start])) start += 1;
    while (end > start && isSpace(bytes[end - 1])) end -= 1;
    return { start, end };
  }
}
