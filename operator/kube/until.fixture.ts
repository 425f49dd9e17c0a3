export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Resolves once `condition` is true; fails the test if it is not within `maxMs`. */
export async function until(condition: () => boolean | Promise<boolean>, maxMs = 20_000): Promise<void> {
  const endMs = performance.now() + maxMs;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`not within ${maxMs} ms: ${condition}`);
    await sleep(2);
  }
}
