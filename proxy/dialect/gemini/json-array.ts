import type { FindEnd } from '../sse.ts';

const quote = 0x22;
const backslash = 0x5c;

/** Ends of the elements of one JSON array that arrives in pieces: each event runs to its element's last brace. Keeps state between chunks. */
export function elementEnds(): FindEnd {
  let depth = 0;
  let inString = false;
  let escaped = false;

  const withinString = (byte: number): void => {
    if (escaped) escaped = false;
    else if (byte === backslash) escaped = true;
    else if (byte === quote) inString = false;
  };

  /** True at the brace that ends an element, or the bracket that ends the array. */
  const outside = (byte: number): boolean => {
    if (byte === quote) inString = true;
    else if (byte === 0x7b || byte === 0x5b) depth += 1;
    else if (byte === 0x7d || byte === 0x5d) {
      depth -= 1;
      return depth <= 1;
    }
    return false;
  };

  return (chunk, from) => {
    for (let at = from; at < chunk.length; at += 1) {
      const byte = chunk[at] as number;
      if (inString) withinString(byte);
      else if (outside(byte)) return at + 1;
    }
    return -1;
  };
}
