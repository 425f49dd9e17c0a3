import type { LearnedRow } from '../../operator/store/types.ts';
import { readOptions } from '../command.ts';
import { type PoolsOptions, readPoolsOptions } from '../options/pools.ts';
import type { Streams } from '../streams.ts';
import { askAdmin, KeysFailed } from './admin.ts';
import { tableText } from './table.ts';

const usage = `keyforge pools list [--json]
keyforge pools acknowledge NAMESPACE/NAME [--model MODEL] [--feature FEATURE] --reason TEXT
             [--data DIR] [--admin http://127.0.0.1:8788]

Shows and clears what bills above their bound have taught, at the KeyForge that runs on a data folder (default .keyforge).

  list         every bound that a bill has widened, and every feature that capped keys may not use since a bill was impossibly high
  acknowledge  trusts the computed bound again: of a pool, of one of its models, or of one feature

Exit code: 0 done, 1 failed, 2 wrong usage.
`;

/** `keyforge pools`: resolves to the exit code. */
export async function runPools(args: readonly string[], io: Streams): Promise<number> {
  const options = readOptions({ name: 'keyforge pools', text: usage, read: readPoolsOptions }, args, io);
  if (typeof options === 'number') return options;
  try {
    io.stdout.write(await perform(options));
    return 0;
  } catch (error) {
    if (!(error instanceof KeysFailed)) throw error;
    io.stderr.write(`keyforge pools: ${error.message}\n`);
    return 1;
  }
}

async function perform(options: PoolsOptions): Promise<string> {
  const { action, pool = '', model, feature, reason, json } = options;
  if (action === 'list') {
    const reply = (await askAdmin(options, { method: 'GET', path: '/v1/pools' })) as { readonly learned: readonly LearnedRow[] };
    return json ? `${JSON.stringify(reply)}\n` : learnedTable(reply.learned);
  }
  const path = `/v1/pools/${pool.split('/').map(encodeURIComponent).join('/')}/acknowledge`;
  const reply = (await askAdmin(options, { method: 'POST', path, body: { reason, model, feature } })) as {
    readonly cleared: readonly LearnedRow[];
  };
  return json ? `${JSON.stringify(reply)}\n` : `cleared\n${learnedTable(reply.cleared)}`;
}

function learnedTable(learned: readonly LearnedRow[]): string {
  if (learned.length === 0) return 'no bill was above its bound\n';
  const rows = learned.map((row) => [
    row.pool,
    row.model,
    row.feature,
    row.refused ? 'refused on capped keys' : `${row.percent} % of the bound`,
  ]);
  return tableText([['POOL', 'MODEL', 'FEATURE', 'SINCE'], ...rows]);
}
