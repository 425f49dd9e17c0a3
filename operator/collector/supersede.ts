import type { EpochRecoveredBody, ProxyBody } from '../../core/audit/types.ts';
import { abandon } from '../ledger/ledger.ts';
import type { EpochRow, Tx } from '../store/types.ts';
import { type OwnDeps, recordOwn } from './own.ts';

/**
 * Ends the epochs before the one whose first entry was just stored: the one that it recovers, which the ledger has settled,
 * and any other, whose proxy left nothing behind to recover: what that one held burns, visibly.
 */
export function supersede(tx: Tx, opened: EpochRow & { readonly body: ProxyBody }, deps: OwnDeps): void {
  for (let epoch = opened.epoch - 1; epoch > 0; epoch -= 1) {
    const row = tx.streams.epoch(opened.stream, epoch);
    if (row === null || (row.state !== 'open' && row.state !== 'quarantined')) return;
    const isRecovered = (opened.body as EpochRecoveredBody).recoveredEpoch === epoch;
    if (!isRecovered) abandonEpoch(tx, row, deps);
    if (row.state === 'open') tx.streams.putEpoch({ ...row, state: isRecovered ? 'recovered' : 'abandoned' });
  }
}

function abandonEpoch(tx: Tx, { stream, epoch, lastSeq }: EpochRow, deps: OwnDeps): void {
  const burned = abandon(tx, stream, epoch);
  if (burned.length === 0 && lastSeq === -1) return;
  const detail = {
    ...Object.fromEntries(burned.map(({ grant, nano }) => [`burned ${grant}`, String(nano)])),
    epoch: String(epoch),
    lastSeq: String(lastSeq),
  };
  recordOwn(tx, { detail, object: stream, time: new Date(tx.now()).toISOString(), type: 'epoch_abandoned', v: 1 }, deps);
}
