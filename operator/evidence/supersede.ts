import type { ProxyBody } from '../../core/audit/types.ts';
import type { StreamId } from '../../core/names.ts';
import type { Burned } from '../ledger/ledger.ts';
import type { LedgerNote } from '../ledger/settle.ts';
import type { EpochRow, Tx } from '../store/types.ts';
import { type OwnDeps, type OwnEvent, recordOwn } from './own-stream.ts';

/** An epoch whose first entry was just stored, and the notes of its settlement. */
interface SupersedingEpoch {
  readonly stream: StreamId;
  readonly epoch: number;
  readonly body: ProxyBody;
  readonly notes: readonly LedgerNote[];
}

/**
 * Sets the state of the earlier epochs: the one that this epoch recovers, and others, which left nothing to recover.
 * Records in the operator's own stream what they burned.
 */
export function supersede(tx: Tx, { stream, epoch: current, body, notes }: SupersedingEpoch, deps: OwnDeps): void {
  for (let epoch = current - 1; epoch > 0; epoch -= 1) {
    const row = tx.streams.epoch(stream, epoch);
    if (row === null || (row.state !== 'open' && row.state !== 'quarantined')) return;
    const isRecovered = body.type === 'epoch_recovered' && body.recoveredEpoch === epoch;
    if (row.state === 'open') tx.streams.putEpoch({ ...row, state: isRecovered ? 'recovered' : 'abandoned' });
    const burned = burnedOf(tx, notes, epoch);
    const isLost = row.state === 'open' && !isRecovered && row.lastSeq >= 0;
    if (burned.length > 0 || isLost) recordOwn(tx, abandonedEvent(row, burned), deps);
  }
}

/** Makes the event `epoch_abandoned`: the end of the epoch's record, and what its grants burned. */
export function abandonedEvent({ stream, epoch, lastSeq }: EpochRow, burned: readonly Burned[]): OwnEvent {
  const amounts = Object.fromEntries(burned.map(({ grant, nano }) => [`burned ${grant}`, String(nano)]));
  return { type: 'epoch_abandoned', object: stream, detail: { ...amounts, epoch: String(epoch), lastSeq: String(lastSeq) } };
}

function burnedOf(tx: Tx, notes: readonly LedgerNote[], epoch: number): readonly Burned[] {
  return notes.flatMap(({ kind, grant, nano = 0 }) =>
    kind === 'burned' && grant !== undefined && tx.ledger.grant(grant)?.epoch === epoch ? [{ grant, nano }] : [],
  );
}
