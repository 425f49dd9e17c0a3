/** A choice, with the hash of its name. */
export interface Choosable {
  readonly hash: number;
}

/** FNV-1a, 32 bits, over UTF-16 units: spreads names and sessions; not for security. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/**
 * Rendezvous hashing (highest random weight): a session keeps its choice while that exists. If a choice appears or
 * disappears, only its own sessions move. Null for an empty list.
 */
export function choose<T extends Choosable>(choices: readonly T[], session: string): T | null {
  if (choices.length < 2) return choices[0] ?? null;
  const hash = hashText(session);
  let best: T | null = null;
  let bestScore = -1;
  for (const choice of choices) {
    const score = mix(hash ^ choice.hash);
    if (score > bestScore) {
      best = choice;
      bestScore = score;
    }
  }
  return best;
}

/** The finalizer of MurmurHash3: every input bit reaches every output bit. */
function mix(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
