/** The variables of a process. */
export type Environment = Readonly<Record<string, string>>;

/** This process's variables. Nobody else reads them: every command's options take them as a parameter. */
export function readEnvironment(): Environment {
  return Object.fromEntries(Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}
