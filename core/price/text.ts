/** Characters that NFC or NFKC replaces with more bytes: ligatures, fractions, units, notes. */
const growing =
  /[\u00a8-\u00be\u013f\u0140\u0149\u01c4-\u01c6\u02d8-\u02dd\u037a\u0384\u0385\u0587\u0675-\u0678\u0958-\u095f\u09dc-\u09df\u0a33-\u0a5e\u0b5c\u0b5d\u0e33\u0eb3\u0edc\u0edd\u0f43-\u0fb9\u1fc1\u1fcd-\u1fcf\u1fdd-\u1fdf\u1fed\u1fee\u2033-\u2057\u2150-\u2189\u222c-\u2230\u247d-\u2487\u2a0c\u2adc\u309b-\u309f\u30ff\u3200-\u33ff\ufa6c-\ufad7\ufb13-\ufdfc\ufe71-\ufe7f\ufef5-\ufefc\u{1d15e}-\u{1d1c0}\u{1f12a}\u{1f200}\u{1f201}\u{1f240}-\u{1f248}]|\u0344/u;
/** Accented letters: before a mark, a mark that sorts first may take the place of the letter's own. */
const accented = /[\u00c0-\u024f\u0370-\u04ff\u1e00-\u1fff]/u;
/** NFKC makes marks of the last two. */
const mark = /[\p{M}\uff9e\uff9f]/u;

/** Bytes that a character gains where it is decomposed. */
function growth(character: string): number {
  return Math.max(0, Buffer.byteLength(character.normalize('NFKD')) - Buffer.byteLength(character));
}

/** What `kindOf` answers: a sum of these, and of the growth, which is at most 30. */
const growsAlways = 0x20;
const isMark = 0x40;
const isJudged = 0x80;
const growthBits = 0x1f;

/** The kinds of characters that were judged: by code unit, and by code point beyond these. */
const kinds = new Uint8Array(0x1_0000);
const furtherKinds = new Map<number, number>();
/** Beyond it they are judged anew: a text may have a million of them. */
const maxFurtherKinds = 4096;

/** How a character grows: judged once, because a text may have millions of the same. */
function kindOf(codePoint: number): number {
  const known = codePoint < kinds.length ? kinds[codePoint] : furtherKinds.get(codePoint);
  if (known !== undefined && known !== 0) return known;
  const character = String.fromCodePoint(codePoint);
  const grows = growing.test(character);
  let kind = isJudged;
  if (mark.test(character)) kind += isMark;
  if (grows) kind += growsAlways;
  if (grows || accented.test(character)) kind += growth(character);
  if (codePoint < kinds.length) kinds[codePoint] = kind;
  else {
    if (furtherKinds.size === maxFurtherKinds) furtherKinds.clear();
    furtherKinds.set(codePoint, kind);
  }
  return kind;
}

/** Maximum of the bytes of a character of 16 bits in any normal form, whatever follows it. */
export function decomposedBytes(unit: number): number {
  return 3 + (kindOf(unit) & growthBits);
}

/** Texts are searched in slices, because most slices of most texts are plain ASCII, which is quick to see. */
const sliceLength = 256;

/**
 * Maximum of the bytes that any normal form gains over this part of a text: texts are decomposed character by character, and
 * composing never lengthens. Summed by character, because one form may lengthen what another form shortens.
 */
function normalGrowth(text: string, from: number, to: number): number {
  let bytes = 0;
  for (let start = from; start < to; start += sliceLength) {
    const end = Math.min(start + sliceLength, to);
    const slice = text.slice(start, end);
    if (Buffer.byteLength(slice) !== slice.length) bytes += sliceGrowth(text, start, end);
  }
  return bytes;
}

function sliceGrowth(text: string, from: number, to: number): number {
  let bytes = 0;
  for (let at = from; at < to; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) continue;
    const kind = kindOf(unit === musicHalf || unit === enclosedHalf ? (text.codePointAt(at) ?? 0) : unit);
    const more = kind & growthBits;
    if (more === 0) continue;
    if ((kind & growsAlways) > 0 || (kindOf(text.codePointAt(at + 1) ?? 0) & isMark) > 0) bytes += more;
  }
  return bytes;
}

/** The first halves of the pairs that may grow: notes, and enclosed letters. */
const musicHalf = 0xd834;
const enclosedHalf = 0xd83c;

/**
 * Maximum of tokens in a text. Byte-level tokenizers never give more tokens than UTF-8 bytes; those that normalise first
 * (NFC, NFKC) never give more than the bytes after it. A lone surrogate is three bytes.
 */
export function stringBound(text: string): number {
  const bytes = Buffer.byteLength(text);
  return bytes === text.length ? bytes : bytes + normalGrowth(text, 0, text.length);
}

/** The result of `valueBound`. */
export interface ValueBound {
  /** Maximum of tokens in the value as JSON text; beyond any amount of money if a number is too large to bound. */
  readonly tokens: number;
  /** Members of all objects: fewer than in the text, if that had duplicates. */
  readonly keys: number;
}

const perContainer = 2; // [] or {}
const perElement = 2; // ", "
const perMember = 4; // ": " and ", "
export const longestDouble: number = 309; // digits of 1.8e308 if a parser with big integers writes it out

/** True for a short text whose every character is one byte in JSON. That covers most keys, and the test is cheaper than writing. */
function isShortAndPlain(text: string): boolean {
  if (text.length > 32) return false;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || code > 0x7e || code === 0x22 || code === 0x5c) return false;
  }
  return true;
}

/** Longer texts are written piece by piece: their JSON is never whole in memory. */
const pieceLength = 64 * 1024;

/** A string as JSON writes it, quotes and escapes included: tool schemas reach the model in that form. */
function quotedBound(text: string): number {
  if (isShortAndPlain(text)) return text.length + 2;
  return text.length <= pieceLength ? stringBound(JSON.stringify(text)) : quotes + longBound(text, 0, text.length);
}

const quotes = 2;

/** Part of a string as JSON writes it, without its quotes. */
function longBound(text: string, from: number, to: number): number {
  let bytes = 0;
  for (let start = from; start < to; ) {
    const end = pieceEnd(text, Math.min(start + pieceLength, to));
    const written = JSON.stringify(text.slice(start, end));
    const size = Buffer.byteLength(written);
    bytes += size - quotes;
    if (size !== written.length) bytes += normalGrowth(text, start, end);
    start = end;
  }
  return bytes;
}

/** The position itself, or the one after it if it is within a pair of surrogates. */
function pieceEnd(text: string, at: number): number {
  return at < text.length && text.codePointAt(at - 1) !== text.charCodeAt(at - 1) ? at + 1 : at;
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
  const bounding = new ValueBounding(value);
  bounding.run(Number.POSITIVE_INFINITY);
  return bounding;
}

/** How many values of a container are opened at once. */
const openedValues = 1024;
/** A longer key is bounded like a text. */
const longKey = 1024;

/** A container whose values from `from` on are not opened yet. */
class Rest {
  readonly container: object;
  /** Null: it is a list. */
  readonly keys: readonly string[] | null;
  readonly from: number;

  constructor(container: object, keys: readonly string[] | null, from: number) {
    this.container = container;
    this.keys = keys;
    this.from = from;
  }
}

/** `valueBound` that may pause and read on. */
export class ValueBounding implements ValueBound {
  readonly #open: unknown[];
  #tokens = 0;
  #keys = 0;
  /** How far the text on top is bounded. */
  #textAt = 0;

  constructor(value: unknown) {
    this.#open = [value];
  }

  get tokens(): number {
    return this.#tokens;
  }

  get keys(): number {
    return this.#keys;
  }

  get isDone(): boolean {
    return this.#open.length === 0;
  }

  /** Bounds about so many more characters and values. */
  run(units: number): void {
    const open = this.#open;
    for (let left = units; left > 0 && open.length > 0; left -= 1) {
      const next = open.pop();
      if (typeof next === 'string' && next.length > left) {
        this.#boundPart(next, left);
        return;
      }
      if (next instanceof Rest) left -= this.#openValues(next.container, next.keys, next.from);
      else if (typeof next === 'object' && next !== null) left -= this.#openContainer(next);
      else this.#tokens += this.#textAt === 0 ? scalarBound(next) : this.#restOf(next as string);
      if (typeof next === 'string') left -= next.length;
    }
  }

  /** Puts the text back, to be continued. */
  #boundPart(text: string, units: number): void {
    const end = pieceEnd(text, Math.min(text.length, this.#textAt + units));
    this.#tokens += longBound(text, this.#textAt, end) + (this.#textAt === 0 ? quotes : 0);
    this.#textAt = end === text.length ? 0 : end;
    if (end < text.length) this.#open.push(text);
  }

  #restOf(text: string): number {
    const rest = longBound(text, this.#textAt, text.length);
    this.#textAt = 0;
    return rest;
  }

  #openContainer(container: object): number {
    this.#tokens += perContainer;
    if (!Array.isArray(container)) return this.#openValues(container, Object.keys(container), 0);
    this.#tokens += container.length * perElement;
    return this.#openValues(container, null, 0);
  }

  /** Returns the tokens of the keys that it bounded. */
  #openValues(container: object, keys: readonly string[] | null, from: number): number {
    const open = this.#open;
    const values = container as Readonly<Record<string | number, unknown>>;
    const count = keys === null ? (container as readonly unknown[]).length : keys.length;
    const end = Math.min(from + openedValues, count);
    if (end < count) open.push(new Rest(container, keys, end));
    if (keys === null) {
      for (let at = from; at < end; at += 1) open.push(values[at]);
      return 0;
    }
    const before = this.#tokens;
    for (let at = from; at < end; at += 1) {
      const key = keys[at] as string;
      this.#keys += 1;
      this.#tokens += perMember;
      if (key.length > longKey) open.push(key);
      else this.#tokens += quotedBound(key);
      open.push(values[key]);
    }
    return this.#tokens - before;
  }
}
