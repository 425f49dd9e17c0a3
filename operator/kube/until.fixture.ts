export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Resolves once `condition` holds; fails the test where it does not within `mostMs`. */
export async function until(condition: () => boolean | Promise<boolean>, mostMs = 20_000): Promise<void> {
  const endMs = performance.now() + mostMs;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`not within ${mostMs} ms: ${condition}`);
    await sleep(2);
  }
}
