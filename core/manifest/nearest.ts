/** Edits (insert, delete, replace, swap of neighbours counts as two) between two short words. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** With more names than this, none is suggested: in a cluster each misspelt name would be compared with all. */
const maxAllowed = 100;

/** The allowed word that `word` was probably meant to be, letter case aside; null if none is near. */
export function nearest<T extends string>(word: string, allowed: readonly T[]): T | null {
  if (word.length > 64 || allowed.length > maxAllowed) return null;
  const maxEdits = (candidate: string): number => Math.max(1, Math.floor(candidate.length / 3));
  const near = allowed
    .filter((candidate) => Math.abs(candidate.length - word.length) <= maxEdits(candidate))
    .map((candidate) => ({ candidate, edits: distance(word.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ candidate, edits }) => edits <= maxEdits(candidate))
    .sort((a, b) => a.edits - b.edits);
  return near[0]?.candidate ?? null;
}
