import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { crashText } from './crash.ts';

const usage = `keyforge COMMAND [ARG…]

  up     policy, budgets, records and the proxy in one process
  run    one command with a key, a proxy and a budget of its own
  audit  verify, show or follow what was recorded
  keys   list, revoke or rotate the keys of a running KeyForge

  operator  the control plane in a Kubernetes cluster
  proxy     its data plane: sidecar or gateway

  --help after a command tells its flags; --version tells the version
`;

const { stdout, stderr } = process;

// Each command is loaded when it is asked for: `audit` needs no proxy, and `keys` needs next to nothing.
const commands: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = {
  up: async (args) => (await import('./up.ts')).runUp(args, { stdout, stderr, stop: stopSignal() }),
  run: async (args) => (await import('./run/run.ts')).runRun(args, { stdout, stderr }),
  audit: async (args) => (await import('./audit.ts')).runAudit(args, { stdout, stderr }),
  operator: async (args) => (await import('./operator.ts')).runOperator(args, { stdout, stderr, stop: stopSignal() }),
  proxy: async (args) => (await import('./proxy.ts')).runProxy(args, { stdout, stderr, stop: stopSignal() }),
  keys: async (args) => (await import('./keys.ts')).runKeys(args, { stdout, stderr }),
};

/** Aborted at the first SIGTERM or SIGINT; the second ends the process at once. */
function stopSignal(): AbortSignal {
  const controller = new AbortController();
  for (const [signal, code] of [
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(code);
      controller.abort();
    });
  }
  return controller.signal;
}

function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { readonly version: string }).version;
}

async function main([name, ...args]: readonly string[]): Promise<number> {
  if (name === '--version') {
    stdout.write(`${version()}\n`);
    return 0;
  }
  if (name === '--help' || name === '-h' || name === 'help') {
    stdout.write(usage);
    return 0;
  }
  const command = name !== undefined && Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command !== undefined) return command(args);
  stderr.write(name === undefined ? usage : `keyforge: unknown command ${name}\n\n${usage}`);
  return 2;
}

function crash(error: unknown): never {
  stderr.write(`keyforge: internal error ${randomUUID()}\n${crashText(error)}\n`);
  process.exit(1);
}

process.on('uncaughtException', crash);
process.on('unhandledRejection', crash);
// Not left to the event loop: what a failed start left open must not keep the process.
process.exit(await main(process.argv.slice(2)));
