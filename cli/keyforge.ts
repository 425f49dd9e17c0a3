import { readFileSync } from 'node:fs';
import { runProcess, stopSignal } from './process.ts';
import type { Streams } from './streams.ts';

const usage = `keyforge COMMAND [ARG…]

  up     policy, budgets, records and the proxy in one process
  run    one command with a key, a proxy and a budget of its own
  audit  verify, show or follow what was recorded
  keys   list, revoke, rotate or credit the keys of a running KeyForge
  prices list or acknowledge changes of providers' prices
  pools  list or acknowledge what bills above their bound have taught

  operator  the control plane in a Kubernetes cluster
  proxy     its data plane: sidecar or gateway

  --help after a command prints its flags; --version prints the version
`;

// Each command is loaded when it is run: `audit` needs no proxy, and `keys` needs next to nothing.
const commands: Readonly<Record<string, (args: readonly string[], io: Streams) => Promise<number>>> = {
  up: async (args, io) => (await import('./up.ts')).runUp(args, { ...io, stop: stopSignal() }),
  run: async (args, io) => (await import('./run/run.ts')).runRun(args, io),
  audit: async (args, io) => (await import('./audit.ts')).runAudit(args, io),
  operator: async (args, io) => (await import('./operator.ts')).runOperator(args, { ...io, stop: stopSignal() }),
  proxy: async (args, io) => (await import('./proxy.ts')).runProxy(args, { ...io, stop: stopSignal() }),
  keys: async (args, io) => (await import('./admin/keys.ts')).runKeys(args, io),
  pools: async (args, io) => (await import('./admin/pools.ts')).runPools(args, io),
  prices: async (args, io) => (await import('./admin/prices.ts')).runPrices(args, io),
};

function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { readonly version: string }).version;
}

async function main([name, ...args]: readonly string[], io: Streams): Promise<number> {
  if (name === '--version') {
    io.stdout.write(`${version()}\n`);
    return 0;
  }
  if (name === '--help' || name === '-h' || name === 'help') {
    io.stdout.write(usage);
    return 0;
  }
  const command = name !== undefined && Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command !== undefined) return command(args, io);
  io.stderr.write(name === undefined ? usage : `keyforge: unknown command ${name}\n\n${usage}`);
  return 2;
}

await runProcess((io) => main(process.argv.slice(2), io));
