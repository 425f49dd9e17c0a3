// Normalisation sorts combining marks in quadratic time and can grow text elevenfold: slices keep both small.
const sliceLength = 256;

function endsInsidePair(text: string, end: number): boolean {
  const last = text.charCodeAt(end - 1);
  return last >= 0xd800 && last < 0xdc00;
}

/**
 * UTF-8 bytes after NFKC, or a little more: it misses composition across the edge of a slice, and composition never
 * makes text longer.
 */
function compatibilityBytes(text: string): number {
  let bytes = 0;
  for (let start = 0; start < text.length; ) {
    let end = Math.min(start + sliceLength, text.length);
    if (end < text.length && endsInsidePair(text, end)) end -= 1;
    const slice = text.slice(start, end);
    const plain = Buffer.byteLength(slice);
    bytes += plain === slice.length ? plain : Buffer.byteLength(slice.normalize('NFKC'));
    start = end;
  }
  return bytes;
}

/**
 * Maximum of tokens in a text. Byte-level tokenizers never give more tokens than UTF-8 bytes; those that normalise first
 * never give more than the bytes after NFKC. A lone surrogate is three bytes.
 */
export function stringBound(text: string): number {
  const bytes = Buffer.byteLength(text);
  return bytes === text.length ? bytes : Math.max(bytes, compatibilityBytes(text));
}

/** The result of `valueBound`. */
interface ValueBound {
  /** Maximum of tokens in the value as JSON text; beyond any amount of money if a number is too large to bound. */
  readonly tokens: number;
  /** Members of all objects: fewer than in the text, if that had duplicates. */
  readonly keys: number;
}

const perContainer = 2; // [] or {}
const perElement = 2; // ", "
const perMember = 4; // ": " and ", "
const longestDouble = 309; // digits of 1.8e308 if a parser with big integers writes it out

/** True for a short text whose every character is one byte in JSON. That covers most keys, and the test is cheaper than writing. */
function isShortAndPlain(text: string): boolean {
  if (text.length > 32) return false;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || code > 0x7e || code === 0x22 || code === 0x5c) return false;
  }
  return true;
}

/** A string as JSON writes it, quotes and escapes included: tool schemas reach the model in that form. */
function quotedBound(text: string): number {
  if (isShortAndPlain(text)) return text.length + 2;
  return stringBound(JSON.stringify(text));
}

/** The bound of a number, however a parser writes it back: "1" may become "1.0". */
function numberBound(value: number): number {
  if (!Number.isFinite(value)) return Number.MAX_SAFE_INTEGER;
  return (Math.abs(value) > Number.MAX_SAFE_INTEGER ? longestDouble : `${value}`.length) + 2;
}

function scalarBound(value: unknown): number {
  if (typeof value === 'string') return quotedBound(value);
  return typeof value === 'number' ? numberBound(value) : 5;
}

/**
 * Bounds a parsed JSON value by its JSON text, punctuation included, because even a schema of only brackets costs tokens.
 * `stringBound` bounds every string. Iterative, so that no nesting overflows the stack.
 */
export function valueBound(value: unknown): ValueBound {
  let tokens = 0;
  let keys = 0;
  const open: unknown[] = [value];
  while (open.length > 0) {
    const next = open.pop();
    if (typeof next !== 'object' || next === null) {
      tokens += scalarBound(next);
      continue;
    }
    tokens += perContainer;
    if (Array.isArray(next)) {
      tokens += next.length * perElement;
      for (const element of next) open.push(element);
      continue;
    }
    for (const key of Object.keys(next)) {
      keys += 1;
      tokens += quotedBound(key) + perMember;
      open.push((next as Record<string, unknown>)[key]);
    }
  }
  return { tokens, keys };
}
