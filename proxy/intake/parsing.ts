import { parseJson } from '../../core/json.ts';
import type { Pieces } from './pieces.ts';
import { isSpace } from './scan.ts';
import { stringEnd } from './string-end.ts';

/** A longer string is decoded in parts of this size. */
const partBytes = 64 * 1024;
/** What each step costs beside its bytes. */
const stepUnits = 64;
/** A byte of a piece costs as much time as so many bytes of a long string. */
const pieceUnits = 4;
/** What a search costs that pauses within a string. */
const searchUnits = 64 * 1024;
/** Nobody needs a longer number, and a parser reads all of its digits at once. */
const maxNumberBytes = 64 * 1024;

const quote = 0x22;
const backslash = 0x5c;
const letterU = 0x75;

/** A list or object that is not whole yet. */
type Open = { readonly list: unknown[] } | { readonly object: Record<string, unknown>; key: string };

/** A long string of which a part is read. */
interface LongString {
  readonly start: number;
  readonly end: number;
  /** What its parts are decoded to; null: it has no escapes, so that it is decoded as one, outside of the heap. */
  text: string | null;
}

/** What may come next. `first`: a value, a key, or the end of an empty container. */
type Expected = 'value' | 'first' | 'key' | 'colon' | 'next' | 'nothing';

/**
 * `JSON.parse` that may pause and read on. It reads the structure of large lists and objects itself, and gives every piece, number
 * and part of a string to `JSON.parse`. The bytes are UTF-8 that a scan has read.
 */
export class Parsing {
  readonly #bytes: Buffer;
  readonly #pieces: Pieces;
  readonly #open: Open[] = [];
  #expected: Expected = 'value';
  #at = 0;
  /** Where the search for the end of a string goes on; 0: there is none. */
  #searchAt = 0;
  #long: LongString | null = null;
  #value: unknown;
  #problem: string | null = null;

  constructor(bytes: Buffer, pieces: Pieces) {
    this.#bytes = bytes;
    this.#pieces = pieces;
  }

  /** How far it has read. */
  get at(): number {
    return this.#at;
  }

  get isDone(): boolean {
    return this.#problem !== null || this.#at >= this.#bytes.length;
  }

  /** Why the text cannot be parsed; null: it is parsed. To be read once it is done. */
  get problem(): string | null {
    return this.#expected === 'nothing' ? this.#problem : (this.#problem ?? notJson);
  }

  get value(): unknown {
    return this.#value;
  }

  /** Parses about so many more units: a byte of a long string is one, and everything else several. */
  run(units: number): void {
    for (let left = units; left > 0 && !this.isDone; ) {
      const before = this.#at;
      const more = this.#step(left);
      left -= this.#at - before + more + stepUnits;
    }
  }

  /** Reads one token, piece or part; returns what it cost beside its bytes. */
  #step(most: number): number {
    if (this.#long !== null) return this.#readPart(this.#long);
    if (this.#searchAt > 0) return this.#readString();
    const stop = Math.min(this.#bytes.length, this.#at + most);
    while (this.#at < stop && isSpace(this.#bytes[this.#at])) this.#at += 1;
    if (this.#at === stop) return 0;
    const byte = this.#bytes[this.#at];
    switch (byte) {
      case quote:
        return this.#mayRead('string') ? this.#readString() : 0;
      case 0x7b: // {
      case 0x5b: // [
        return this.#mayRead('value') ? this.#readContainer(byte) : 0;
      case 0x7d: // }
      case 0x5d: // ]
        this.#close(byte === 0x5d);
        return 0;
      case 0x2c: // ,
        this.#readComma();
        return 0;
      case 0x3a: // :
        if (this.#expected !== 'colon') this.#fail();
        this.#expected = 'value';
        this.#at += 1;
        return 0;
      default:
        if (this.#mayRead('value')) this.#readScalar();
        return 0;
    }
  }

  /** True if a value or, for a string, a key may come here. Otherwise the text is no JSON. */
  #mayRead(what: 'value' | 'string'): boolean {
    const isKeyNext = this.#expected === 'key' || (this.#expected === 'first' && this.#isInObject());
    const may = isKeyNext ? what === 'string' : this.#expected === 'value' || this.#expected === 'first';
    if (!may) this.#fail();
    return may;
  }

  #isInObject(): boolean {
    const container = this.#open.at(-1);
    return container !== undefined && 'object' in container;
  }

  #readContainer(byte: number): number {
    const start = this.#at;
    const end = this.#pieces.endOf(start);
    if (end < 0) {
      this.#open.push(byte === 0x5b ? { list: [] } : { object: {}, key: '' });
      this.#expected = 'first';
      this.#at += 1;
      return 0;
    }
    this.#at = end;
    this.#add(this.#parsed(start, end));
    return (end - start) * (pieceUnits - 1);
  }

  #close(isList: boolean): void {
    const container = this.#open.pop();
    const isWhole = this.#expected === 'next' || this.#expected === 'first';
    if (container === undefined || !isWhole || isList !== 'list' in container) {
      this.#fail();
      return;
    }
    this.#at += 1;
    this.#add('list' in container ? container.list : container.object);
  }

  #readComma(): void {
    if (this.#expected !== 'next') this.#fail();
    this.#expected = this.#isInObject() ? 'key' : 'value';
    this.#at += 1;
  }

  /** Reads a number, `true`, `false` or `null`. */
  #readScalar(): void {
    const start = this.#at;
    const stop = Math.min(this.#bytes.length, start + maxNumberBytes);
    let end = start;
    while (end < stop && isInScalar(this.#bytes[end])) end += 1;
    if (end - start === maxNumberBytes) {
      this.#fail(`it has a number of more than ${maxNumberBytes} digits`);
      return;
    }
    this.#at = end;
    this.#add(this.#parsed(start, end));
  }

  #readString(): number {
    const start = this.#at;
    const end = stringEnd(this.#bytes, this.#searchAt > 0 ? this.#searchAt : start + 1, this.#bytes.length);
    this.#searchAt = end < -1 ? ~end : 0;
    if (end < -1) return searchUnits;
    if (end < 0) this.#fail();
    else if (end - start <= partBytes) {
      this.#at = end + 1;
      this.#addText(this.#parsed(start, end + 1));
    } else {
      this.#at = start + 1;
      const hasEscapes = this.#bytes.subarray(start + 1, end).includes(backslash);
      this.#long = { start: start + 1, end, text: hasEscapes ? '' : null };
    }
    return 0;
  }

  #readPart(long: LongString): number {
    const start = this.#at;
    this.#at = this.#partEnd(start, long.end);
    const part = parseJson(`"${this.#bytes.toString('utf8', start, this.#at)}"`);
    if (typeof part !== 'string') {
      this.#fail();
      return 0;
    }
    if (long.text !== null) long.text += part;
    if (this.#at < long.end) return 0;
    this.#at += 1;
    this.#long = null;
    this.#addText(long.text ?? this.#bytes.toString('utf8', long.start, long.end));
    return 0;
  }

  /** A position at most a few bytes beyond a part, within no escape and no character. */
  #partEnd(start: number, end: number): number {
    const bytes = this.#bytes;
    const wanted = start + partBytes;
    if (wanted >= end) return end;
    let at = wanted;
    const firstEscape = bytes.subarray(start, wanted).indexOf(backslash);
    if (firstEscape >= 0) {
      at = start + firstEscape;
      while (at < wanted) at += bytes[at] !== backslash ? 1 : bytes[at + 1] === letterU ? 6 : 2;
    }
    while (at < end && ((bytes[at] ?? 0) & 0xc0) === 0x80) at += 1;
    return Math.min(at, end);
  }

  /** Undefined, after noting it, if these bytes are no JSON. */
  #parsed(start: number, end: number): unknown {
    const value = parseJson(this.#bytes.toString('utf8', start, end));
    if (value === undefined) this.#fail();
    return value;
  }

  /** Adds a value, or takes it for the key that it is. */
  #addText(text: unknown): void {
    const container = this.#open.at(-1);
    if (this.#expected === 'value' || container === undefined || 'list' in container) this.#add(text);
    else {
      container.key = text as string;
      this.#expected = 'colon';
    }
  }

  #add(value: unknown): void {
    const container = this.#open.at(-1);
    this.#expected = 'next';
    if (container === undefined) {
      this.#value = value;
      this.#expected = 'nothing';
    } else if ('list' in container) container.list.push(value);
    else if (container.key === '__proto__') Object.defineProperty(container.object, container.key, { ...plain, value });
    else container.object[container.key] = value;
  }

  #fail(problem: string = notJson): void {
    this.#problem ??= problem;
  }
}

const notJson = 'it is not valid JSON';
const plain = { writable: true, enumerable: true, configurable: true };

/** True for the letters, digits and signs of which numbers and `true`, `false` and `null` are made. */
function isInScalar(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  return (
    (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x7a) || byte === 0x2b || byte === 0x2d || byte === 0x2e || byte === 0x45
  );
}
