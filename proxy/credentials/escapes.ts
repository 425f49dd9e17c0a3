const [backslash, ampersand, percent] = [0x5c, 0x26, 0x25];
const [quote, slash, lowerU, zero] = [0x22, 0x2f, 0x75, 0x30];

/** The bytes with which an escape begins. */
export const introducers: readonly number[] = [backslash, ampersand, percent];
/** Bytes of `\u0041` or `&quot;`. */
export const longestEscape = 6;

/** What `escapeAt` returns if no escape is here. */
export const none = 0;
/** What `escapeAt` returns if the bytes end within what could be one. */
export const open = -1;

/** The character, and how many bytes stand for it, in one number: text is searched byte by byte. */
function escaped(character: number, length: number): number {
  return character * 8 + length;
}

/** The character of an escape; of `none` and `open`, no ASCII character. */
export function charOf(found: number): number {
  return found > 0 ? found >> 3 : 0xff;
}

/** How many bytes an escape takes. */
export function lengthOf(found: number): number {
  return found & 7;
}

/** -1 for what is no digit. */
const hexDigits = Int8Array.from({ length: 256 }, (_, byte) => '0123456789abcdef'.indexOf(String.fromCharCode(byte).toLowerCase()));

/** Reads the escape of an ASCII character: of JSON (RFC 8259, 7), of URLs (RFC 3986, 2.1) or of HTML. */
export function escapeAt(bytes: Buffer, at: number): number {
  switch (bytes[at]) {
    case backslash:
      return inJson(bytes, at);
    case percent:
      return inHex(bytes, at, 1);
    case ampersand:
      return inHtml(bytes, at);
    default:
      return none;
  }
}

/** `\u0041`, `\/`, `\"` and `\\`. */
function inJson(bytes: Buffer, at: number): number {
  const next = bytes[at + 1];
  if (next === undefined) return open;
  if (next === slash || next === quote || next === backslash) return escaped(next, 2);
  if (next !== lowerU) return none;
  for (const index of [at + 2, at + 3]) {
    if (bytes[index] === undefined) return open;
    if (bytes[index] !== zero) return none;
  }
  return inHex(bytes, at, 4);
}

/** Two hexadecimal digits that begin `offset` bytes after the escape. */
function inHex(bytes: Buffer, at: number, offset: number): number {
  const [high, low] = [bytes[at + offset], bytes[at + offset + 1]];
  if (high === undefined) return open;
  const first = hexDigits[high] ?? -1;
  if (first < 0) return none;
  if (low === undefined) return open;
  const second = hexDigits[low] ?? -1;
  return second < 0 || first > 7 ? none : escaped(first * 16 + second, offset + 2);
}

const reference = /^&(?:#x0?([0-9a-f]{2})|#0?(\d{2,3})|(amp|lt|gt|quot|apos));/i;
/** What could become one. */
const beginning = /^&(?:#x?[0-9a-f]{0,3}|[a-z]{0,4})$/i;
const names: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** `&#65;`, `&#x41;`, `&amp;`. Rare in answers, so a pattern is fast enough. */
function inHtml(bytes: Buffer, at: number): number {
  const text = bytes.toString('latin1', at, at + longestEscape);
  const [whole, hex, decimal, name = ''] = reference.exec(text) ?? [];
  if (whole === undefined) return at + text.length === bytes.length && beginning.test(text) ? open : none;
  const character = hex === undefined ? Number(decimal ?? names[name.toLowerCase()]?.charCodeAt(0)) : Number.parseInt(hex, 16);
  return character < 0x80 ? escaped(character, whole.length) : none;
}
