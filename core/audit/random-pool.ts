/** Draws 8 KiB at a time, so that a salt costs a slice and not a system call. It returns each byte once. */
export function pooledRandom(random: (size: number) => Uint8Array): (size: number) => Uint8Array {
  const poolBytes = 8192;
  let pool: Uint8Array = new Uint8Array(0);
  let used = 0;
  return (size) => {
    if (used + size > pool.length) {
      pool = random(Math.max(poolBytes, size));
      used = 0;
    }
    used += size;
    return pool.subarray(used - size, used);
  };
}
