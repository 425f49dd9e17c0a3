/** Where the second process finds what the first handed over; set between the two only. */
export const handoverVariable = 'KEYFORGE_RUN_HANDOVER';

/** This process's environment, read once. */
export function readEnvironment(): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}
