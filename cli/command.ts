import { type Environment, readEnvironment } from './config.ts';
import type { Misuse } from './options/reader.ts';
import type { Streams } from './streams.ts';

/** How a command is used. */
export interface Usage<T extends object> {
  /** As people type it: `keyforge up`. */
  readonly name: string;
  /** What `--help` prints. */
  readonly text: string;
  readonly read: (args: readonly string[], environment: Environment) => T | Misuse;
}

/** The options of a command; or its exit code where it only prints its usage (0) or its mistakes (2). */
export function readOptions<T extends object>({ name, text, read }: Usage<T>, args: readonly string[], io: Streams): T | 0 | 2 {
  if (args.includes('--help') || args.includes('-h')) {
    io.stdout.write(text);
    return 0;
  }
  const options = read(args, readEnvironment());
  if (!('problems' in options)) return options;
  for (const problem of options.problems) io.stderr.write(`${name}: ${problem}\n`);
  return 2;
}
