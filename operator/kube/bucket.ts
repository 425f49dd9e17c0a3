/** A bound on how often something is done. */
export interface Bucket {
  /** True where there was one left, which is then gone. A clock that goes back fills nothing. */
  take(nowMs: number): boolean;
}

/** Lets `atOnce` through at once, and then one in each `everyMs`. */
export function createBucket({ atOnce, everyMs }: { readonly atOnce: number; readonly everyMs: number }, madeMs: number): Bucket {
  let left = atOnce;
  let atMs = madeMs;
  return {
    take(nowMs) {
      left = Math.min(atOnce, left + Math.max(0, nowMs - atMs) / everyMs);
      atMs = nowMs;
      if (left < 1) return false;
      left -= 1;
      return true;
    },
  };
}
