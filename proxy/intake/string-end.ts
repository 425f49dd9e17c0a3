const quote = 0x22;
const backslash = 0x5c;
/** Short strings are read byte by byte, and long ones searched. */
const nearBytes = 32;
/** How many searches one call makes: as many slices of a string of escaped quotes take a millisecond. */
const maxSearches = 16_384;
/** A long run of backslashes is compared block by block. Its length is even, so that a block changes no parity. */
const run: Buffer = Buffer.alloc(4096, backslash);

/**
 * Position of the quote that ends the string whose content goes on at `from`; -1 if there is none before `end`. A smaller number
 * is a pause, because the string has very many escapes: its bitwise complement is where to go on.
 */
export function stringEnd(bytes: Buffer, from: number, end: number): number {
  let at = from;
  for (let searches = 0; searches < maxSearches; searches += 1) {
    const near = Math.min(at + nearBytes, end);
    while (at < near) {
      const byte = bytes[at];
      if (byte === quote) return at;
      at += byte === backslash ? 2 : 1;
    }
    const found = bytes.indexOf(quote, at);
    if (found < 0 || found >= end) return -1;
    if (backslashesBefore(bytes, found, at) % 2 === 0) return found;
    at = found + 1;
  }
  return ~at;
}

function backslashesBefore(bytes: Buffer, found: number, from: number): number {
  let first = found;
  while (first > from && bytes[first - 1] === backslash) {
    first -= 1;
    if ((found - first) % run.length !== 0) continue;
    while (first - run.length >= from && run.compare(bytes, first - run.length, first) === 0) first -= run.length;
  }
  return found - first;
}
