import type { EntryBody } from '../../core/audit/types.ts';
import type { EpochRef } from '../../core/names.ts';
import type { Tx } from '../store/types.ts';

/**
 * Why an entry of an epoch may still arrive. `epoch_open`: its proxy writes on. `entries_missing`: its proxy has entries that are
 * not stored. `proxy_silent`: its proxy has been gone for less than two hours.
 */
export type LateEntries = 'epoch_open' | 'entries_missing' | 'proxy_silent';

/** A proxy refuses calls after an hour without the operator; a call that it had sent ends within another. */
const silentMs = 2 * 3_600_000;

/** Undefined: no entry of the epoch can arrive any more. `closedAtMs`: when a grant of it burned. */
export function lateEntriesOf(tx: Tx, { stream, epoch, closedAtMs }: EpochRef & { readonly closedAtMs?: number }): LateEntries | undefined {
  const row = tx.streams.epoch(stream, epoch);
  if (row === null || row.state === 'open') return 'epoch_open';
  if (row.state === 'closed') return undefined;
  // A quarantined epoch takes no entry, so none is missing.
  const lastSeq = row.state === 'quarantined' ? null : recoveredUpTo(tx, { stream, epoch });
  if (lastSeq !== null) return row.lastSeq < lastSeq ? 'entries_missing' : undefined;
  return closedAtMs !== undefined && tx.now() - closedAtMs < silentMs ? 'proxy_silent' : undefined;
}

/** The last entry that the proxy itself knew when it recovered the epoch; null if it did not recover it. */
function recoveredUpTo(tx: Tx, { stream, epoch }: EpochRef): number | null {
  const newest = tx.streams.lastEpoch(stream)?.epoch ?? epoch;
  for (let next = epoch + 1; next <= newest; next += 1) {
    const first = tx.streams.entry(stream, next, 0);
    const body = first === null ? null : (JSON.parse(first.body.toString()) as EntryBody);
    if (body?.type === 'epoch_recovered' && body.recoveredEpoch === epoch) return body.lastSeq;
  }
  return null;
}
