import { charOf, escapeAt, introducers, lengthOf, longestEscape, none, open } from './escapes.ts';

/** What stands in place of a credential. */
export const mark: Buffer = Buffer.from('[redacted]');
const blank = 0x20;
const unicode = Buffer.from('\\u00');

/**
 * Finds one credential (ASCII) in what a provider sends: plain, in base64 of either alphabet and any alignment, with any of its
 * characters escaped as in JSON, and with those escaped that URLs and HTML escape. Other transformations are not found; no
 * provider is known to send one.
 */
export class SecretForms {
  readonly #plain: Buffer;
  /** Its longest part that stands unchanged in JSON, URLs and HTML, so that one search finds whether it can be there in any of them. */
  readonly #core: Buffer;
  /** Parts of base64 that depend on the credential alone, whatever stands around it. */
  readonly #encoded: readonly Buffer[];
  /** The core, the parts of base64, and what begins an escape: where none of them is in a text, the credential is not. */
  readonly #clues: readonly string[];
  /** Of any form. */
  readonly #leastLength: number;
  /** 1 for each byte with which a form begins, but for those in base64. */
  readonly #begins = new Uint8Array(256);
  /** 1 for each byte with which one in base64 begins. */
  readonly #beginsEncoded = new Uint8Array(256);
  /** 1 for each of its characters. */
  readonly #has = new Uint8Array(256);

  constructor(value: string) {
    this.#plain = Buffer.from(value);
    this.#core = coreOf(value);
    this.#encoded = encodings(this.#plain);
    this.#leastLength = Math.min(...[this.#plain, ...this.#encoded].map(({ length }) => length));
    this.#clues = [this.#core, ...this.#encoded, unicode].map((bytes) => bytes.toString('latin1'));
    for (const byte of this.#plain) this.#has[byte] = 1;
    for (const byte of [...this.#plain.subarray(0, 1), ...introducers]) this.#begins[byte] = 1;
    for (const [first = blank] of this.#encoded) this.#beginsEncoded[first] = 1;
  }

  /** The text, or a mark in place of it where the credential is in it. */
  within(text: string): string {
    if (text.length < this.#leastLength || !this.#clues.some((clue) => text.includes(clue))) return text;
    const bytes = Buffer.from(text, 'latin1');
    return this.removed(bytes) === bytes ? text : mark.toString();
  }

  /** The bytes with a mark in place of the credential; the same buffer if it is not there. */
  removed(bytes: Buffer): Buffer {
    let clean = bytes;
    for (const needle of this.#encoded)
      if (clean.includes(needle))
        clean = Buffer.from(clean.toString('latin1').replaceAll(needle.toString('latin1'), mark.toString()), 'latin1');
    return clean.includes(this.#core) || this.#isEscapedIn(clean) ? this.#withoutMatches(clean) : clean;
  }

  /** How many bytes at the end could be the beginning of the credential, in any of its forms. */
  openEnd(bytes: Buffer): number {
    const longest = Math.min(bytes.length, this.#plain.length * longestEscape - 1);
    let open = 0;
    // No form has a blank in it, and events end with one.
    for (let length = 1; length <= longest; length += 1) {
      const byte = bytes[bytes.length - length] ?? blank;
      if (byte <= blank) break;
      if ((this.#begins[byte] === 1 || this.#beginsEncoded[byte] === 1) && this.#couldBegin(bytes, bytes.length - length)) open = length;
    }
    return open;
  }

  #couldBegin(bytes: Buffer, from: number): boolean {
    const length = bytes.length - from;
    const begins = (needle: Buffer): boolean =>
      length < needle.length && bytes[from] === needle[0] && bytes.compare(needle, 0, length, from, bytes.length) === 0;
    return begins(this.#plain) || this.#encoded.some(begins) || this.#match(bytes, from) === 'open';
  }

  /** True if one of its characters is escaped as `\\u00XX`, in whatever word. */
  #isEscapedIn(bytes: Buffer): boolean {
    for (let at = bytes.indexOf(unicode); at !== -1; at = bytes.indexOf(unicode, at + unicode.length))
      if (this.#has[charOf(escapeAt(bytes, at))] === 1) return true;
    return false;
  }

  #withoutMatches(bytes: Buffer): Buffer {
    const pieces: Buffer[] = [];
    let kept = 0;
    for (let at = 0; at < bytes.length; at += 1) {
      if (this.#begins[bytes[at] ?? 0] !== 1) continue;
      const end = this.#match(bytes, at);
      if (typeof end !== 'number') continue;
      pieces.push(bytes.subarray(kept, at), mark);
      kept = end;
      at = end - 1;
    }
    return pieces.length === 0 ? bytes : Buffer.concat([...pieces, bytes.subarray(kept)]);
  }

  /** Where the credential ends that begins here, with or without escapes; `open`: the bytes end within it; null: it does not begin here. */
  #match(bytes: Buffer, from: number): number | 'open' | null {
    const plain = this.#plain;
    // First without escapes, because the credential may itself contain what looks like one.
    if (from + plain.length <= bytes.length && bytes.compare(plain, 0, plain.length, from, from + plain.length) === 0)
      return from + plain.length;
    let at = from;
    for (const wanted of plain) {
      if (at >= bytes.length) return 'open';
      const found = escapeAt(bytes, at);
      if (found === open) return 'open';
      if (found !== none && charOf(found) === wanted) at += lengthOf(found);
      else if (bytes[at] === wanted) at += 1;
      else return null;
    }
    return at;
  }
}

/** The longest run of characters that no encoder of text escapes, short of one that escapes all. */
function coreOf(value: string): Buffer {
  const runs = (value.match(/[\w.-]+/g) ?? [value]).toSorted((a, b) => b.length - a.length);
  return Buffer.from(runs[0] ?? value);
}

function encodings(plain: Buffer): readonly Buffer[] {
  const found = new Set<string>();
  for (const before of [0, 1, 2]) {
    const text = Buffer.concat([Buffer.alloc(before), plain])
      .toString('base64')
      .replaceAll('=', '');
    // The first characters also hold bits of what stands before, and the last of what follows.
    const whole = text.slice(Math.ceil((before * 8) / 6), Math.floor(((before + plain.length) * 8) / 6));
    found.add(whole).add(whole.replaceAll('+', '-').replaceAll('/', '_'));
  }
  return [...found].map((text) => Buffer.from(text));
}
