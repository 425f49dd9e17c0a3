import { parseArgs } from 'node:util';
import { defined } from '../../core/json.ts';
import { positiveDuration, positiveUsd } from '../../core/manifest/quantity.ts';
import { readWhole } from '../../core/manifest/reader.ts';
import type { NanoUsd } from '../../core/money.ts';

/** The command line of `keyforge run`. */
export interface RunOptions {
  readonly files: readonly string[];
  readonly command: readonly [string, ...string[]];
  /** Dollars for the whole run, on top of what the policy says. */
  readonly usdNano?: NanoUsd;
  readonly ttlMs?: number;
  /** Leave the data folder, for `keyforge audit` afterwards. */
  readonly keepData: boolean;
}

export const runUsage = `keyforge run -f agent.policy.yaml [-f pool.yaml] [--usd 2.00] [--ttl 1h] [--keep-data] -- CMD [ARG…]

Runs CMD with a key, a proxy and a budget of its own. Nothing is carried over to the next run.

  -f PATH       a policy (a VirtualKey, or its spec alone) and, where wanted, pools; read once and frozen.
                Without a pool: one for each of OPENAI_API_KEY, ANTHROPIC_API_KEY and GEMINI_API_KEY that is set.
  --usd AMOUNT  dollars for this run, where the policy allows more
  --ttl TIME    how long the key lives (90s, 15m, 1h); calls in flight end with it
  --keep-data   leave the data folder, and say where it is

CMD sees base URLs and a virtual key for OpenAI, Anthropic and Gemini, and no provider credential: variables that
carry one are taken out. KeyForge restarts itself without them before CMD starts, so that /proc shows none either.
What remains: the program that started KeyForge (a shell, npm, a CI runner) still has what you gave it, and a process
of the same user can read its memory and files. Run CMD as another user where it is not trusted with them.

Exit code: CMD's own; 128+N where signal N ended it; 125 where KeyForge failed; 126 CMD cannot be run; 127 not found.
A summary of calls, tokens, dollars and refusals goes to stderr.
`;

/** Reads the arguments after `run`. Every problem at once. */
export function parseRunOptions(args: readonly string[]): RunOptions | { readonly problems: readonly string[] } | { readonly help: true } {
  const split = args.indexOf('--');
  const own = split < 0 ? args : args.slice(0, split);
  if (own.includes('--help') || own.includes('-h')) return { help: true };
  const problems: string[] = [];
  const values = readValues(own, problems);
  const [first, ...rest] = split < 0 ? [] : args.slice(split + 1);
  if (first === undefined) problems.push('no command: write it after --, e.g. `keyforge run -f agent.policy.yaml -- npm test`');
  const files = values.file ?? [];
  if (files.length === 0 && problems.length === 0) problems.push('no policy: name its file with -f, e.g. `-f agent.policy.yaml`');
  const usdNano = quantity(positiveUsd, values.usd, '--usd', problems);
  const ttlMs = quantity(positiveDuration, values.ttl, '--ttl', problems);
  if (problems.length > 0 || first === undefined) return { problems };
  return {
    files,
    command: [first, ...rest],
    ...defined({ usdNano, ttlMs }),
    keepData: values['keep-data'] ?? false,
  };
}

function readValues(args: readonly string[], problems: string[]): { file?: string[]; usd?: string; ttl?: string; 'keep-data'?: boolean } {
  try {
    return parseArgs({
      args: [...args],
      options: {
        file: { type: 'string', short: 'f', multiple: true },
        usd: { type: 'string' },
        ttl: { type: 'string' },
        'keep-data': { type: 'boolean' },
      },
    }).values;
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
    return {};
  }
}

function quantity(read: typeof positiveUsd, value: string | undefined, flag: string, problems: string[]): number | undefined {
  if (value === undefined) return undefined;
  const { value: quantity, findings } = readWhole(read, value, flag);
  problems.push(...findings.map(({ message }) => message));
  return quantity;
}
