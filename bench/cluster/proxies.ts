// Many proxies in one process: each holds a session with the operator as the sidecar does. One line of JSON a snapshot on stdout.
import { readFileSync } from 'node:fs';
import { pino } from 'pino';
import { connectOperator } from '../../proxy/link/session.ts';

/** What to connect to, as whom: the JSON in the file that the program is given. */
export interface ProxiesPlan {
  readonly url: string;
  readonly ca: string;
  readonly proxies: readonly { readonly id: number; readonly token: string }[];
}

/** A snapshot came. */
export interface Heard {
  readonly id: number;
  /** Milliseconds since 1970, with fractions. */
  readonly atMs: number;
  /** Keys that open something now: neither withdrawn nor suspended. */
  readonly open: number;
}

/** All proxies of one process connecting at once would measure its own start. */
const spacingMs = 4;

if (import.meta.main) {
  const plan = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as ProxiesPlan;
  const logger = pino({ level: 'silent' });
  const monotonic = (): number => performance.now();
  for (const { id, token } of plan.proxies) {
    const options = { url: plan.url, ca: plan.ca, readToken: async () => token, logger, monotonic, random: Math.random };
    connectOperator(options).watch((push) => {
      if (push.kind !== 'snapshot') return;
      const open = push.keys.filter(({ document, tokens }) => document.suspendedBy === undefined && tokens.length > 0).length;
      const heard: Heard = { id, atMs: performance.timeOrigin + performance.now(), open };
      process.stdout.write(`${JSON.stringify(heard)}\n`);
    });
    await new Promise((resolve) => setTimeout(resolve, spacingMs));
  }
}
