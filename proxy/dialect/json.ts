import { isUtf8 } from 'node:buffer';
import { setImmediate as turn } from 'node:timers/promises';
import { isObject, type JsonObject, parseJson } from '../../core/json.ts';
import { type ValueBound, ValueBounding, valueBound } from '../../core/price/text.ts';
import { type Members, Scan } from '../intake/scan.ts';

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
}

class ParsedBody implements JsonBody {
  readonly bytes: Buffer;
  readonly members: Members;
  readonly tokens: number;
  #value: JsonObject | null;

  constructor(bytes: Buffer, { members, tokens, value }: Pick<JsonBody, 'members' | 'tokens' | 'value'>) {
    this.bytes = bytes;
    this.members = members;
    this.tokens = tokens;
    this.#value = value;
  }

  get value(): JsonObject {
    this.#value ??= JSON.parse(this.bytes.toString('utf8')) as JsonObject;
    return this.#value;
  }

  drop(): void {
    this.#value = null;
  }
}

interface Unreadable {
  readonly problem: string;
}

/** Larger bodies are read in turns of the event loop. */
const largeBytes = 256 * 1024;
/** What one turn scans. */
const scanBytes = 1024 * 1024;
/** What one turn bounds: characters and values. */
const boundUnits = 64 * 1024;

/**
 * Reads a request body that every parser reads alike, or says why it cannot: it must be a JSON object
 * in UTF-8, without duplicate keys at any depth and without escapes in its own keys.
 */
export function readBody(received: Buffer): JsonBody | Unreadable {
  const bytes = withoutMark(received);
  if (!isUtf8(bytes)) return unreadable('it is not valid UTF-8');
  const scan = new Scan(bytes, 0, bytes.length);
  scan.run(bytes.length);
  const problem = problemOf(scan);
  if (problem !== null) return unreadable(problem);
  const value = parsed(bytes.toString('utf8'));
  return 'problem' in value ? value : bodyOf(bytes, scan, { value: value.value, bound: valueBound(value.value) });
}

/** Reads bodies of any size like `readBody`. Other requests get their turns while a large one is read. */
export class BodyReader {
  /** Resolves when nobody parses. */
  #free: Promise<unknown> = Promise.resolve();

  read(bytes: Buffer): JsonBody | Unreadable | Promise<JsonBody | Unreadable> {
    return bytes.length <= largeBytes ? readBody(bytes) : this.#readLarge(withoutMark(bytes));
  }

  async #readLarge(bytes: Buffer): Promise<JsonBody | Unreadable> {
    if (!isUtf8(bytes)) return unreadable('it is not valid UTF-8');
    const scan = new Scan(bytes, 0, bytes.length);
    while (!scan.isDone) {
      scan.run(scanBytes);
      const problem = problemOf(scan);
      if (problem !== null) return unreadable(problem);
      await turn();
    }
    // One after the other: the text of a body takes up to twice its memory again.
    const parsing = this.#free.then(() => parsedInTurns(bytes));
    this.#free = parsing;
    const value = await parsing;
    if ('problem' in value) return value;
    const bound = new ValueBounding(value.value);
    while (!bound.isDone) {
      await turn();
      bound.run(boundUnits);
    }
    return bodyOf(bytes, scan, { value: value.value, bound });
  }
}

/** Never rejects. To decode the text takes as long as to parse it. */
async function parsedInTurns(bytes: Buffer): Promise<{ readonly value: JsonObject } | Unreadable> {
  const text = bytes.toString('utf8');
  await turn();
  return parsed(text);
}

function parsed(text: string): { readonly value: JsonObject } | Unreadable {
  const value = parseJson(text);
  if (value === undefined) return unreadable('it is not valid JSON');
  return isObject(value) ? { value } : unreadable('it is not a JSON object');
}

function bodyOf(
  bytes: Buffer,
  scan: Scan,
  { value, bound }: { readonly value: JsonObject; readonly bound: ValueBound },
): JsonBody | Unreadable {
  if (bound.keys !== scan.colons) return unreadable('it has the same key twice in one object');
  return new ParsedBody(bytes, { value, members: scan.members, tokens: Math.max(bound.tokens, bytes.length) });
}

/** Without the byte order mark that some writers put before UTF-8. RFC 8259 8.1 lets a reader ignore it; not every provider does. */
function withoutMark(bytes: Buffer): Buffer {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}

function unreadable(what: string): Unreadable {
  return { problem: `The request body cannot be read: ${what}.` };
}

function problemOf({ problem, escapedKey }: Scan): string | null {
  return problem ?? (escapedKey === null ? null : `the key "${escapedKey}" is written with escapes; write it plainly`);
}

/** The members of the object at this range of a body. */
export function membersAt(body: JsonBody, range: { readonly start: number; readonly end: number }): Members {
  const scan = new Scan(body.bytes, range.start, range.end);
  scan.run(range.end - range.start);
  if (scan.problem !== null) throw new Error(`a part of a body that was read cannot be read: ${scan.problem}`);
  return scan.members;
}
