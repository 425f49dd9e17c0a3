import { isUtf8 } from 'node:buffer';
import { isObject, type JsonObject, parseJson } from '../../core/json.ts';
import { valueBound } from '../../core/price/text.ts';

/** An unambiguous request body, with the byte ranges of its top-level members, so that an edit touches nothing else. */
export interface JsonBody {
  readonly bytes: Buffer;
  readonly value: JsonObject;
  /** Byte range of each top-level member's value. */
  readonly members: Members;
  /** Bound of the tokens of the whole body: `valueBound`, and never below its own bytes, since a server may show the model the text as sent. */
  readonly tokens: number;
}

/** Byte ranges of the values of one object's members, by key. */
export type Members = ReadonlyMap<string, { readonly start: number; readonly end: number }>;

/** Deeper bodies are refused: no dialect needs them, and recursive readers downstream would break. */
const maxDepth = 128;

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

interface Scan {
  readonly colons: number;
  readonly members: Map<string, { readonly start: number; readonly end: number }>;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/**
 * One pass over an object's bytes: counts the colons outside strings (members at every depth) and notes the positions of
 * the values of the object's own members. Correct for valid JSON only; harmless otherwise.
 */
function scanObject(bytes: Buffer, start: number, end: number): Scan | string {
  const members: Scan['members'] = new Map();
  let colons = 0;
  let depth = 0;
  let keyStart = 0;
  let keyEnd = 0;
  // Start of the open value at depth 1; 0 before a key.
  let valueStart = 0;
  let escapedKey: string | null = null;

  const endMember = (at: number): void => {
    const key = bytes.toString('utf8', keyStart, keyEnd);
    if (key.includes('\\')) escapedKey ??= key.slice(0, 64);
    members.set(key, trimmed(bytes, valueStart, at));
    valueStart = 0;
  };

  for (let at = start; at < end; at += 1) {
    switch (bytes[at]) {
      case quote:
        if (depth === 1 && valueStart === 0) keyStart = at + 1;
        at = stringEnd(bytes, at + 1, end);
        if (at < 0) return 'a string does not end';
        if (depth === 1 && valueStart === 0) keyEnd = at;
        break;
      case 0x3a: // :
        colons += 1;
        if (depth === 1) valueStart = at + 1;
        break;
      case 0x7b: // {
      case 0x5b: // [
        depth += 1;
        if (depth > maxDepth) return `it is nested deeper than ${maxDepth} levels`;
        break;
      case 0x2c: // ,
        if (depth === 1 && valueStart > 0) endMember(at);
        break;
      case 0x7d: // }
      case 0x5d: // ]
        if (depth === 1 && valueStart > 0) endMember(at);
        depth -= 1;
        break;
      default:
    }
  }
  return escapedKey === null ? { colons, members } : `the key "${escapedKey}" is written with escapes; write it plainly`;
}

function trimmed(bytes: Buffer, from: number, to: number): { readonly start: number; readonly end: number } {
  let start = from;
  let end = to;
  while (isSpace(bytes[start])) start += 1;
  while (end > start && isSpace(bytes[end - 1])) end -= 1;
  return { start, end };
}

/**
 * Reads a request body that every parser reads alike, or says why it cannot: it must be a JSON object
 * in UTF-8, without duplicate keys at any depth and without escapes in its own keys.
 */
export function readBody(received: Buffer): JsonBody | { readonly problem: string } {
  const bytes = withoutMark(received);
  if (!isUtf8(bytes)) return problem('it is not valid UTF-8');
  const scan = scanObject(bytes, 0, bytes.length);
  if (typeof scan === 'string') return problem(scan);
  const value = parseJson(bytes.toString('utf8'));
  if (value === undefined) return problem('it is not valid JSON');
  if (!isObject(value)) return problem('it is not a JSON object');
  const { tokens, keys } = valueBound(value);
  if (keys !== scan.colons) return problem('it has the same key twice in one object');
  return { bytes, value, members: scan.members, tokens: Math.max(tokens, bytes.length) };
}

/** Without the byte order mark that some writers put before UTF-8. RFC 8259 8.1 lets a reader ignore it; not every provider does. */
function withoutMark(bytes: Buffer): Buffer {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}

function problem(what: string): { readonly problem: string } {
  return { problem: `The request body cannot be read: ${what}.` };
}

/** The members of the object at this range of a body, or why they cannot be read. */
export function membersAt(body: JsonBody, range: { readonly start: number; readonly end: number }): Members | string {
  const scan = scanObject(body.bytes, range.start, range.end);
  return typeof scan === 'string' ? scan : scan.members;
}
