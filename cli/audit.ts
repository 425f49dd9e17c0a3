import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import type { CallBody, Entry, EntryBody } from '../core/audit/types.ts';
import { formatUsd } from '../core/money.ts';
import { epochId } from '../core/names.ts';
import { checkStore } from '../operator/evidence/check.ts';
import { readRootKey } from '../operator/store/root-key.ts';
import { openSqliteStore } from '../operator/store/sqlite.ts';
import type { Store } from '../operator/store/types.ts';
import { readSpooledEntries } from '../proxy/evidence/spool/recovery.ts';
import { type AuditOptions, readAuditOptions } from './config.ts';

export interface AuditIo {
  readonly stdout: Pick<Writable, 'write'>;
  readonly stderr: Pick<Writable, 'write'>;
}

const usage = `usage: keyforge audit verify --data DIR
       keyforge audit tail --data DIR [--key NAMESPACE/NAME] [--json]

  verify   checks every chain and MAC, also of records that are still in the spool
  tail     shows the records in order; with --json their bodies, one a line

Each flag can be given as KEYFORGE_DATA and so on; the flag wins.
Exit code: 0 done or intact, 1 broken, 2 wrong usage, 3 could not be checked.
`;
const exit = { done: 0, broken: 1, usage: 2, unchecked: 3 } as const;

/** `keyforge audit verify|tail`, over the data folder of a KeyForge that may be running. Returns the exit code. */
export async function runAudit(args: readonly string[], io: AuditIo): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    io.stdout.write(usage);
    return exit.done;
  }
  const ask = readAuditOptions(args);
  if ('problems' in ask) {
    for (const problem of ask.problems) io.stderr.write(`keyforge audit: ${problem}\n`);
    io.stderr.write(usage);
    return exit.usage;
  }
  let store: Store | null = null;
  try {
    const path = join(ask.dataDir, 'keyforge.db');
    if (!existsSync(path)) throw new Error(`there is no ${path}: give the folder that keyforge up got as --data`);
    store = openSqliteStore({ path, clock: Date.now });
    return ask.verb === 'verify' ? verify(store, ask, io) : tail(store, ask, io);
  } catch (error) {
    io.stderr.write(`keyforge audit: could not check ${ask.dataDir}: ${(error as Error).message}\n`);
    return exit.unchecked;
  } finally {
    store?.close();
  }
}

function verify(store: Store, { dataDir }: AuditOptions, io: AuditIo): number {
  const report = checkStore(store, readRootKey(join(dataDir, 'root.key')), spooledIn(dataDir));
  for (const notice of report.notices) io.stdout.write(`notice: ${notice}\n`);
  for (const problem of report.problems) io.stdout.write(`broken: ${problem}\n`);
  const counted = `${report.verified} entries in ${report.epochs} epochs verified`;
  io.stdout.write(report.problems.length === 0 ? `intact: ${counted}\n` : `broken: ${report.problems.length} problems, ${counted}\n`);
  return report.problems.length === 0 ? exit.done : exit.broken;
}

function tail(store: Store, ask: AuditOptions, io: AuditIo): number {
  // Read first: what is shipped and trimmed meanwhile is then found in the store.
  const spooled = [...spooledIn(ask.dataDir)];
  const shown = new Map<string, number>();
  const show = ({ stream, epoch, seq, body }: Entry): void => {
    const id = epochId({ stream, epoch });
    if (seq <= (shown.get(id) ?? -1)) return;
    shown.set(id, seq);
    const text = body.toString();
    const parsed = JSON.parse(text) as EntryBody;
    if (ask.key !== undefined && !('key' in parsed && parsed.key === ask.key)) return;
    io.stdout.write(`${ask.json ? text : describe(parsed)}\n`);
  };
  for (let after: number | undefined = 0; after !== undefined; ) {
    const from: number = after;
    const page = store.transaction((tx) => tx.streams.entries(from, 1000));
    page.forEach(show);
    after = page.at(-1)?.position;
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
  return `${body.time} ${'key' in body ? body.key : body.object} ${body.type}`;
}

function describeCall(call: CallBody): string {
  const model = call.servedModel ?? call.model ?? '-';
  const tokens =
    call.usage === undefined ? '-' : `${call.usage.input + call.usage.cachedInput + call.usage.cacheWrite}+${call.usage.output}`;
  const estimated = call.estimated ? ' (bound)' : '';
  return `${call.time} ${call.key} ${call.code} ${model} ${tokens} tokens $${formatUsd(Number(call.costNanoUsd))}${estimated}`;
}
