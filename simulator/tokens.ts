const pieces = /\s?[^\s]{1,4}|\s+/g;

/** Splits text into what this simulation calls tokens: up to four characters with the space before them. */
export function tokenise(text: string): readonly string[] {
  return text.match(pieces) ?? [];
}

/** Tokens of a text; never more than it has characters. */
export function countTokens(text: string): number {
  let count = 0;
  for (const _ of text.matchAll(pieces)) count += 1;
  return count;
}
