/** What stands in place of a credential. */
export const mark: Buffer = Buffer.from('[redacted]');
const backslash = 0x5c;
const slash = 0x2f;
const lowerU = 0x75;
const blank = 0x20;
/** Bytes of `\u0041`. */
const escapeBytes = 6;

/**
 * Finds one credential (ASCII) in what a provider sends: plain, in base64 of either alphabet and any alignment, and with any of
 * its characters escaped as in JSON. Other transformations are not found; no provider is known to send one.
 */
export class SecretForms {
  readonly #plain: Buffer;
  /** Parts of base64 that depend on the credential alone, whatever stands around it. */
  readonly #encoded: readonly Buffer[];
  /** With what the escape of any of its characters begins. */
  readonly #escapes: readonly string[];
  /** Of any form. */
  readonly #leastLength: number;
  /** 1 for each byte with which a form begins. */
  readonly #begins = new Uint8Array(256);

  constructor(value: string) {
    this.#plain = Buffer.from(value);
    this.#encoded = encodings(this.#plain);
    this.#escapes = this.#plain.includes(slash) ? ['\\u00', '\\/'] : ['\\u00'];
    this.#leastLength = Math.min(...[this.#plain, ...this.#encoded].map(({ length }) => length));
    for (const first of [backslash, ...[this.#plain, ...this.#encoded].map(([byte = backslash]) => byte)]) this.#begins[first] = 1;
  }

  /** The text, or a mark in place of it where the credential is in it. */
  within(text: string): string {
    if (text.length < this.#leastLength) return text;
    const bytes = Buffer.from(text, 'latin1');
    return this.removed(bytes) === bytes ? text : mark.toString();
  }

  /** The bytes with a mark in place of the credential; the same buffer if it is not there. */
  removed(bytes: Buffer): Buffer {
    let clean = bytes;
    for (const needle of [this.#plain, ...this.#encoded])
      if (clean.includes(needle))
        clean = Buffer.from(clean.toString('latin1').replaceAll(needle.toString('latin1'), mark.toString()), 'latin1');
    return this.#escapes.some((beginning) => clean.includes(beginning)) ? this.#withoutEscaped(clean) : clean;
  }

  /** How many bytes at the end could be the beginning of the credential, in any of its forms. */
  openEnd(bytes: Buffer): number {
    const longest = Math.min(bytes.length, this.#plain.length * escapeBytes - 1);
    let open = 0;
    // No form has a blank in it, and events end with one.
    for (let length = 1; length <= longest; length += 1) {
      const byte = bytes[bytes.length - length] ?? blank;
      if (byte <= blank) break;
      if (this.#begins[byte] === 1 && this.#couldBegin(bytes, bytes.length - length)) open = length;
    }
    return open;
  }

  #couldBegin(bytes: Buffer, from: number): boolean {
    const length = bytes.length - from;
    const begins = (needle: Buffer): boolean =>
      length < needle.length && bytes[from] === needle[0] && bytes.compare(needle, 0, length, from, bytes.length) === 0;
    return this.#encoded.some(begins) || this.#match(bytes, from) === 'open';
  }

  #withoutEscaped(bytes: Buffer): Buffer {
    const pieces: Buffer[] = [];
    let kept = 0;
    for (let at = 0; at < bytes.length; at += 1) {
      const byte = bytes[at];
      if (byte !== this.#plain[0] && byte !== backslash) continue;
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
    let at = from;
    for (const wanted of this.#plain) {
      if (at >= bytes.length) return 'open';
      if (bytes[at] === wanted) {
        at += 1;
        continue;
      }
      // PHP and others escape a slash so.
      if (wanted === slash && bytes[at] === backslash && bytes[at + 1] === slash) {
        at += 2;
        continue;
      }
      const found = escapedByte(bytes, at);
      if (found === 'open') return 'open';
      if (found !== wanted) return null;
      at += escapeBytes;
    }
    return at;
  }
}

/** The ASCII character that is written as `\u00XX` here; `open`: the bytes end within such an escape; null: none is here. */
function escapedByte(bytes: Buffer, at: number): number | 'open' | null {
  if (bytes[at] !== backslash) return null;
  const text = bytes.toString('latin1', at + 1, at + escapeBytes);
  if (text.length < escapeBytes - 1) return 'u00'.startsWith(text.slice(0, 3)) ? 'open' : null;
  if (bytes[at + 1] !== lowerU || !/^u00[0-9a-f]{2}$/i.test(text)) return null;
  return Number.parseInt(text.slice(1), 16);
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
