import { decomposedBytes, longestDouble, stringBound, valueBound } from './text.ts';

/** Llama 3.1's chat template writes tools with `tojson(indent=4)`. Each blank counts as a token: some tokenizers join none. */
const indent = 4;

/** Tokens of the line of each value in a container at this depth, with its comma. */
function lineTokens(depth: number): number {
  return 2 + indent * (depth + 1);
}

/** A string as the most wasteful writer shows it: Jinja's own `tojson` escapes `<>&'` and all but ASCII (huggingface/transformers#31100). */
function escapedBound(text: string): number {
  let bytes = 2;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 0x20 || code > 0x7e || code === 0x26 || code === 0x27 || code === 0x3c || code === 0x3e) bytes += 6;
    else bytes += code === 0x22 || code === 0x5c ? 2 : 1;
  }
  return Math.max(bytes, stringBound(JSON.stringify(text)));
}

/** Bound of the tokens of a value that a chat template writes as JSON of its own, escaped and indented. Iterative, so that no nesting overflows the stack. */
export function shownBound(value: unknown): number {
  let tokens = 0;
  const open: { readonly value: unknown; readonly depth: number }[] = [{ value, depth: 0 }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (typeof next.value === 'string') tokens += escapedBound(next.value);
    else if (typeof next.value !== 'object' || next.value === null) tokens += valueBound(next.value).tokens;
    else {
      const line = lineTokens(next.depth);
      const entries = Object.entries(next.value);
      tokens += 2 + line * (entries.length + 1);
      for (const [key, inner] of entries) {
        tokens += Array.isArray(next.value) ? 0 : escapedBound(key) + 2;
        open.push({ value: inner, depth: next.depth + 1 });
      }
    }
  }
  return tokens;
}

/**
 * `shownBound` of a text and of the JSON value that it may be, whichever is more. It does not parse the text, which may be
 * millions of empty lists.
 */
export function shownTextBound(text: string): number {
  const reading = new ShownText(text);
  return Math.max(escapedBound(text), reading.bound());
}

/** Longer numbers, and those with an exponent, may be beyond the integers that a writer keeps short. */
const maxPlainDigits = 15;

/** Reads JSON text once. Text that is not JSON gives any number. */
class ShownText {
  readonly #text: string;
  #at = 0;
  #tokens = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  bound(): number {
    while (this.#at < this.#text.length) this.#readNext(this.#text.charCodeAt(this.#at));
    return this.#tokens;
  }

  #readNext(code: number): void {
    this.#at += 1;
    if (code === 0x22) this.#readString();
    else if (code === 0x7b || code === 0x5b) {
      // As if it had a value; each comma adds another.
      this.#tokens += 2 + 2 * lineTokens(this.#depth);
      this.#depth += 1;
    } else if (code === 0x7d || code === 0x5d) this.#depth = Math.max(0, this.#depth - 1);
    else if (code === 0x2c) this.#tokens += lineTokens(this.#depth - 1);
    else if (code === 0x3a) this.#tokens += 2;
    else if (code > 0x20) this.#readScalar(code);
  }

  /** Reads to the closing quote. */
  #readString(): void {
    const text = this.#text;
    this.#tokens += 2;
    while (this.#at < text.length) {
      const code = text.charCodeAt(this.#at);
      this.#at += 1;
      if (code === 0x22) return;
      this.#tokens += code === 0x5c ? this.#readEscape() : shownBytes(code);
    }
  }

  /** Reads what follows a backslash; returns its bytes. */
  #readEscape(): number {
    const letter = this.#text[this.#at];
    this.#at += 1;
    if (letter !== 'u') return letter === '"' || letter === '\\' || letter === '/' ? 2 : 6;
    const unit = Number.parseInt(this.#text.slice(this.#at, this.#at + 4), 16);
    this.#at += 4;
    return shownBytes(unit);
  }

  #readScalar(first: number): void {
    const start = this.#at - 1;
    let hasExponent = false;
    for (; this.#at < this.#text.length; this.#at += 1) {
      const code = this.#text.charCodeAt(this.#at);
      if (code <= 0x20 || code === 0x2c || code === 0x5d || code === 0x7d) break;
      hasExponent ||= code === 0x65 || code === 0x45;
    }
    const length = this.#at - start;
    const isNumber = first < 0x3a;
    this.#tokens += isNumber && (hasExponent || length > maxPlainDigits) ? longestDouble + 2 : Math.max(length, 3) + 2;
  }
}

/** Bytes of a character in the string of the most wasteful writer, or of its longest normal form. */
function shownBytes(code: number): number {
  if (code >= 0x80) return Math.max(6, decomposedBytes(code));
  if (code < 0x20 || code > 0x7e || code === 0x26 || code === 0x27 || code === 0x3c || code === 0x3e) return 6;
  return code === 0x22 || code === 0x5c ? 2 : 1;
}
