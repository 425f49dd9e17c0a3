/**
 * Characters that NFC or NFKC replaces with more bytes (ligatures, fractions, units, notes), and accented letters before
 * a mark: there, a mark that sorts first may take the place of the letter's own.
 */
const growing =
  /[\u00a8-\u00be\u013f\u0140\u0149\u01c4-\u01c6\u02d8-\u02dd\u037a\u0384\u0385\u0587\u0675-\u0678\u0958-\u095f\u09dc-\u09df\u0a33-\u0a5e\u0b5c\u0b5d\u0e33\u0eb3\u0edc\u0edd\u0f43-\u0fb9\u1fc1\u1fcd-\u1fcf\u1fdd-\u1fdf\u1fed\u1fee\u2033-\u2057\u2150-\u2189\u222c-\u2230\u247d-\u2487\u2a0c\u2adc\u309b-\u309f\u30ff\u3200-\u33ff\ufa6c-\ufad7\ufb13-\ufdfc\ufe71-\ufe7f\ufef5-\ufefc\u{1d15e}-\u{1d1c0}\u{1f12a}\u{1f200}\u{1f201}\u{1f240}-\u{1f248}]|\u0344|[\u00c0-\u024f\u0370-\u04ff\u1e00-\u1fff](?=\p{M})/gu;

/** Bytes that a character gains where it is decomposed. */
function growth(character: string): number {
  return Math.max(0, Buffer.byteLength(character.normalize('NFKD')) - Buffer.byteLength(character));
}

/** Texts are searched in slices, because most slices of most texts are plain ASCII, which is quick to see. */
const sliceLength = 256;

/**
 * Maximum of the bytes that any normal form gains over the text: texts are decomposed character by character, and
 * composing never lengthens. Summed by character, because one form may lengthen what another form shortens.
 */
function normalGrowth(text: string): number {
  const known = new Map<string, number>();
  let bytes = 0;
  for (let start = 0; start < text.length; start += sliceLength) {
    // One more, which may be a mark or the other half of a pair.
    const slice = text.slice(start, start + sliceLength + 1);
    if (Buffer.byteLength(slice) === slice.length) continue;
    for (const { 0: character, index } of slice.matchAll(growing)) {
      if (index === sliceLength) break;
      const more = known.get(character) ?? growth(character);
      known.set(character, more);
      bytes += more;
    }
  }
  return bytes;
}

/**
 * Maximum of tokens in a text. Byte-level tokenizers never give more tokens than UTF-8 bytes; those that normalise first
 * (NFC, NFKC) never give more than the bytes after it. A lone surrogate is three bytes.
 */
export function stringBound(text: string): number {
  const bytes = Buffer.byteLength(text);
  return bytes === text.length ? bytes : bytes + normalGrowth(text);
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
