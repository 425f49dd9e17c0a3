import { stringBound, valueBound } from './text.ts';

/** Llama 3.1's chat template writes tools with `tojson(indent=4)`. Each blank counts as a token: some tokenizers join none. */
const indent = 4;

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
      const line = 2 + indent * (next.depth + 1);
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
