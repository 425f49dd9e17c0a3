import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { CallBody, Entry, EntryBody, RefusalGroup } from '../core/audit/types.ts';
import { formatUsd } from '../core/money.ts';
import { type EpochId, epochId } from '../core/names.ts';
import { checkStore } from '../operator/evidence/check.ts';
import { readRootKey } from '../operator/store/root-key.ts';
import { openSqliteStore } from '../operator/store/sqlite.ts';
import type { Store } from '../operator/store/types.ts';
import { readSpooledEntries } from '../proxy/evidence/spool/recovery.ts';
import { readOptions } from './command.ts';
import { type AuditOptions, readAuditOptions } from './options/audit.ts';
import type { Streams } from './streams.ts';

const usage = `usage: keyforge audit verify --data DIR
       keyforge audit tail --data DIR [--key NAMESPACE/NAME] [--json]

  verify   checks every chain and MAC, also of records that are still in the spool
  tail     shows the records in order; with --json their bodies, one a line

Each flag can be given as KEYFORGE_DATA and so on; the flag wins.
Exit code: 0 done or intact, 1 broken, 2 wrong usage, 3 could not be checked.
`;
const exit = { done: 0, broken: 1, usage: 2, unchecked: 3 } as const;

/** `keyforge audit verify|tail`, over the data folder of a KeyForge that may be running. Returns the exit code. */
export async function runAudit(args: readonly string[], io: Streams): Promise<number> {
  const options = readOptions({ name: 'keyforge audit', text: usage, read: readAuditOptions }, args, io);
  if (options === exit.usage) io.stderr.write(usage);
  if (typeof options === 'number') return options;
  let store: Store | null = null;
  try {
    const path = join(options.dataDir, 'keyforge.db');
    if (!existsSync(path)) throw new Error(`there is no ${path}: give the folder that keyforge up got as --data`);
    store = openSqliteStore({ path, clock: Date.now });
    return options.verb === 'verify' ? verify(store, options, io) : await tail(store, options, io);
  } catch (error) {
    io.stderr.write(`keyforge audit: could not check ${options.dataDir}: ${(error as Error).message}\n`);
    return exit.unchecked;
  } finally {
    store?.close();
  }
}

function verify(store: Store, { dataDir }: AuditOptions, io: Streams): number {
  const report = checkStore(store, readRootKey(join(dataDir, 'root.key')), spooledIn(dataDir));
  for (const notice of report.notices) io.stdout.write(`notice: ${notice}\n`);
  for (const problem of report.problems) io.stdout.write(`broken: ${problem}\n`);
  const counted = `${report.verified} entries in ${report.epochs} epochs verified`;
  io.stdout.write(report.problems.length === 0 ? `intact: ${counted}\n` : `broken: ${report.problems.length} problems, ${counted}\n`);
  return report.problems.length === 0 ? exit.done : exit.broken;
}

/** Reads a page, then waits until it is taken: a slow reader costs no memory, and one that leaves ends the reading. */
async function tail(store: Store, { dataDir, key, json }: AuditOptions, { stdout }: Streams): Promise<number> {
  // Read first: what is shipped and trimmed meanwhile is then found in the store.
  const spooled = [...spooledIn(dataDir)];
  const shown = new Map<EpochId, number>();
  const show = ({ stream, epoch, seq, body }: Entry): void => {
    const id = epochId({ stream, epoch });
    if (seq <= (shown.get(id) ?? -1)) return;
    shown.set(id, seq);
    const text = body.toString();
    const parsed = JSON.parse(text) as EntryBody;
    if (key !== undefined && !('key' in parsed && parsed.key === key)) return;
    stdout.write(`${json ? text : describe(parsed)}\n`);
  };
  let after = 0;
  for (;;) {
    const page = store.transaction((tx) => tx.streams.entries(after, 1000));
    const last = page.at(-1);
    if (last === undefined) break;
    page.forEach(show);
    after = last.position;
    if (!(await stdout.drained())) return exit.done;
  }
  spooled.forEach(show);
  return exit.done;
}

function spooledIn(data: string): Iterable<Entry> {
  const dir = join(data, 'spool');
  return existsSync(dir) ? readSpooledEntries(dir) : [];
}

function describe(body: EntryBody): string {
  if (body.type === 'call') return describeCall(body);
  const place = `${body.time} ${'key' in body ? body.key : body.object} ${body.type}`;
  if (body.type === 'refusals') return `${place} ${describeRefusals(body)}`;
  const recovered = body.type === 'epoch_recovered' ? (body.refusals ?? []) : [];
  return [place, ...recovered.map((group) => `${place} ${describeRefusals(group)}`)].join('\n');
}

function describeRefusals({ code, count, endpoint, model, from, to }: RefusalGroup): string {
  return `${count} ${code} ${model ?? '-'} ${endpoint} ${from} to ${to}`;
}

function describeCall(call: CallBody): string {
  const model = call.servedModel ?? call.model ?? '-';
  const tokens =
    call.usage === undefined ? '-' : `${call.usage.input + call.usage.cachedInput + call.usage.cacheWrite}+${call.usage.output}`;
  const estimated = call.estimated ? ' (bound)' : '';
  return `${call.time} ${call.key} ${call.code} ${model} ${tokens} tokens $${formatUsd(Number(call.costNanoUsd))}${estimated}`;
}
