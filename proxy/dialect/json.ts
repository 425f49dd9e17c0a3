import { isUtf8 } from 'node:buffer';
import { createHash, hash } from 'node:crypto';
import { isObject, type JsonObject, parseJson } from '../../core/json.ts';
import { type ValueBound, ValueBounding, valueBound } from '../../core/price/text.ts';
import { Parsing } from '../intake/parsing.ts';
import { Pieces } from '../intake/pieces.ts';
import { type Members, type Range, Scan } from '../intake/scan.ts';
import { Turns } from '../intake/turns.ts';

/** An unambiguous request body, with the byte ranges of its top-level members, so that an edit touches nothing else. */
export interface JsonBody {
  readonly bytes: Buffer;
  /** What the bytes were parsed into; parsed again where it was dropped. */
  readonly value: JsonObject;
  /** Byte range of each top-level member's value. */
  readonly members: Members;
  /** Bound of the tokens of the whole body: `valueBound`, and never below its own bytes, since a server may show the model the text as sent. */
  readonly tokens: number;
  /** Drops `value`, which takes as much memory as the bytes or more, before a long wait. */
  drop(): void;
  /** Before `value` is read after a drop: parses a large body again, in turns; null: there is nothing to wait for. */
  restore(): Promise<void> | null;
}

/** What was read in a body, without its bytes. */
type Content = Pick<JsonBody, 'members' | 'tokens' | 'value'>;

class ParsedBody implements JsonBody {
  readonly bytes: Buffer;
  readonly members: Members;
  readonly tokens: number;
  readonly #parseAgain: (() => Promise<JsonObject>) | null;
  #value: JsonObject | null;

  /** Without `parseAgain`, the body is small enough to be parsed again at once. */
  constructor(bytes: Buffer, { members, tokens, value }: Content, parseAgain: (() => Promise<JsonObject>) | null) {
    this.bytes = bytes;
    this.members = members;
    this.tokens = tokens;
    this.#value = value;
    this.#parseAgain = parseAgain;
  }

  get value(): JsonObject {
    this.#value ??= JSON.parse(this.bytes.toString('utf8')) as JsonObject;
    return this.#value;
  }

  drop(): void {
    this.#value = null;
  }

  restore(): Promise<void> | null {
    return this.#value === null && this.#parseAgain !== null ? this.#restored(this.#parseAgain) : null;
  }

  async #restored(parseAgain: () => Promise<JsonObject>): Promise<void> {
    this.#value = await parseAgain();
  }
}

interface Unreadable {
  readonly problem: string;
}

/** Larger bodies are read in turns of the event loop. */
const largeBytes = 256 * 1024;
/** So are smaller ones of more lists, objects and members. */
const largeParts = 16 * 1024;
/** Even larger ones do not keep those below waiting. */
const hugeBytes = 2 * 1024 * 1024;
/** What one turn scans. */
const scanBytes = 64 * 1024;
/** What one turn parses: see `Parsing`. */
const parseUnits = 64 * 1024;
/** What one turn hashes. */
const digestBytes = 256 * 1024;
/** What one turn bounds: characters and values. */
const boundUnits = 16 * 1024;
/** Maximum of a body's own members: the largest API has a hundred fields, and each is judged by its name. */
const maxFields = 1000;

/** Objects that dialects may edit: their members are found at once. */
const editable = ['generationConfig', 'generation_config', 'stream_options', 'provider', 'reasoning', 'thinking'];
/** Maximum of each in a large body. */
const maxEditableBytes = 1024 * 1024;

/**
 * Reads a request body that every parser reads alike, or says why it cannot: it must be a JSON object
 * in UTF-8, without duplicate keys at any depth and without escapes in its own keys.
 */
export function readBody(received: Buffer): JsonBody | Unreadable {
  const bytes = withoutMark(received);
  const scan = scanned(bytes);
  return 'members' in scan ? parsedBody(bytes, scan) : scan;
}

/** Scans at once. */
function scanned(bytes: Buffer): Scan | Unreadable {
  if (!isUtf8(bytes)) return unreadable('it is not valid UTF-8');
  const scan = new Scan(bytes, { start: 0, end: bytes.length });
  // More than once only if a string has very many escapes.
  while (!scan.isDone) scan.run(bytes.length);
  const problem = problemOf(scan);
  return problem === null ? scan : unreadable(problem);
}

/** Parses at once. */
function parsedBody(bytes: Buffer, scan: Scan): JsonBody | Unreadable {
  const value = parsed(bytes.toString('utf8'));
  return 'problem' in value ? value : bodyOf(bytes, scan, { value: value.value, bound: valueBound(value.value), parseAgain: null });
}

/** Reads bodies of any size like `readBody`. Other requests get their turns while a large one is read. */
export class BodyReader {
  readonly #turns = new Turns();
  /** Each resolves when nobody parses a body of its size. */
  readonly #free = { medium: Promise.resolve(), huge: Promise.resolve() };

  read(received: Buffer): JsonBody | Unreadable | Promise<JsonBody | Unreadable> {
    const bytes = withoutMark(received);
    if (bytes.length > largeBytes) return this.#readLarge(bytes);
    const scan = scanned(bytes);
    if (!('members' in scan)) return scan;
    return scan.parts > largeParts ? this.#readLarge(bytes) : parsedBody(bytes, scan);
  }

  /** The SHA-256 of a body, in hex. */
  digest(bytes: Buffer): string | Promise<string> {
    return bytes.length <= largeBytes ? hash('sha256', bytes) : this.#digestLarge(bytes);
  }

  async #digestLarge(bytes: Buffer): Promise<string> {
    const digest = createHash('sha256');
    for (let at = 0; at < bytes.length; at += digestBytes) {
      digest.update(bytes.subarray(at, at + digestBytes));
      await this.#turns.next();
    }
    return digest.digest('hex');
  }

  async #readLarge(bytes: Buffer): Promise<JsonBody | Unreadable> {
    if (!isUtf8(bytes)) return unreadable('it is not valid UTF-8');
    const pieces = new Pieces();
    const scan = await this.#scan(bytes, pieces);
    if (!('members' in scan)) return scan;
    return await this.#inOrder(bytes, async () => {
      const value = await this.#parse(bytes, pieces);
      if ('problem' in value) return value;
      const bound = new ValueBounding(value.value);
      while (!bound.isDone) {
        bound.run(boundUnits);
        await this.#turns.next();
      }
      return bodyOf(bytes, scan, { value: value.value, bound, parseAgain: () => this.#parseAgain(bytes) });
    });
  }

  async #scan(bytes: Buffer, pieces: Pieces): Promise<Scan | Unreadable> {
    const scan = new Scan(bytes, { start: 0, end: bytes.length }, pieces);
    while (!scan.isDone) {
      scan.run(scanBytes);
      const problem = problemOf(scan);
      if (problem !== null) return unreadable(problem);
      await this.#turns.next();
    }
    return scan;
  }

  async #parse(bytes: Buffer, pieces: Pieces): Promise<{ readonly value: JsonObject } | Unreadable> {
    const parsing = new Parsing(bytes, pieces);
    while (!parsing.isDone) {
      parsing.run(parseUnits);
      await this.#turns.next();
    }
    if (parsing.problem !== null) return unreadable(parsing.problem);
    const { value } = parsing;
    return isObject(value) ? { value } : unreadable(notAnObject);
  }

  async #parseAgain(bytes: Buffer): Promise<JsonObject> {
    const pieces = new Pieces();
    await this.#scan(bytes, pieces);
    const value = await this.#inOrder(bytes, () => this.#parse(bytes, pieces));
    if ('problem' in value) throw new Error(`a body that was read cannot be read again: ${value.problem}`);
    return value.value;
  }

  /** One of each size after the other: what was parsed of a body may take more memory than its bytes. */
  #inOrder<T>({ length }: Buffer, parse: () => Promise<T>): Promise<T> {
    const size = length > hugeBytes ? 'huge' : 'medium';
    const parsing = this.#free[size].then(parse);
    this.#free[size] = parsing.then(
      () => {},
      () => {},
    );
    return parsing;
  }
}

const notAnObject = 'it is not a JSON object';

function parsed(text: string): { readonly value: JsonObject } | Unreadable {
  const value = parseJson(text);
  if (value === undefined) return unreadable('it is not valid JSON');
  return isObject(value) ? { value } : unreadable(notAnObject);
}

interface Parsed {
  readonly value: JsonObject;
  readonly bound: ValueBound;
  readonly parseAgain: (() => Promise<JsonObject>) | null;
}

function bodyOf(bytes: Buffer, scan: Scan, { value, bound, parseAgain }: Parsed): JsonBody | Unreadable {
  const large = bytes.length > maxEditableBytes ? editable.find((name) => sizeOf(scan.members.get(name)) > maxEditableBytes) : undefined;
  if (large !== undefined) return unreadable(`its field "${large}" has more than ${maxEditableBytes} bytes; send less at once`);
  if (bound.keys !== scan.colons) return unreadable('it has the same key twice in one object');
  return new ParsedBody(bytes, { value, members: scan.members, tokens: Math.max(bound.tokens, bytes.length) }, parseAgain);
}

function sizeOf(range: Range | undefined): number {
  return range === undefined ? 0 : range.end - range.start;
}

/** Without the byte order mark that some writers put before UTF-8. RFC 8259 8.1 lets a reader ignore it; not every provider does. */
function withoutMark(bytes: Buffer): Buffer {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}

function unreadable(what: string): Unreadable {
  return { problem: `The request body cannot be read: ${what}.` };
}

function problemOf({ problem, escapedKey, members }: Scan): string | null {
  if (members.size > maxFields) return `it has more than ${maxFields} fields; send less at once`;
  return problem ?? (escapedKey === null ? null : `the key "${escapedKey}" is written with escapes; write it plainly`);
}

/** The members of the object at this range of a body. */
export function membersAt(body: JsonBody, range: Range): Members {
  const scan = new Scan(body.bytes, range);
  while (!scan.isDone) scan.run(range.end - range.start);
  if (scan.problem !== null) throw new Error(`a part of a body that was read cannot be read: ${scan.problem}`);
  return scan.members;
}
