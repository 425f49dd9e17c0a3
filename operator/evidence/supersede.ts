import type { ProxyBody } from '../../core/audit/types.ts';
import type { StreamId } from '../../core/names.ts';
import type { EpochRow, Tx } from '../store/types.ts';
import { type OwnDeps, recordOwn } from './own-stream.ts';

/** The part of the ledger's notes that says what burned. */
export interface BurnNote {
  readonly kind: string;
  readonly grant?: string;
  readonly nano?: number;
}

/**
 * Sets what became of the epochs before the one whose first entry was just stored and settled: the one that it recovers, and any
 * other, whose proxy left nothing behind to recover. What burned of them is told in the operator's own stream.
 */
export function supersede(tx: Tx, opened: SupersedingEpoch, deps: OwnDeps): void {
  const { stream, body, notes } = opened;
  for (let epoch = opened.epoch - 1; epoch > 0; epoch -= 1) {
    const row = tx.streams.epoch(stream, epoch);
    if (row === null || (row.state !== 'open' && row.state !== 'quarantined')) return;
    const isRecovered = body.type === 'epoch_recovered' && body.recoveredEpoch === epoch;
    if (row.state === 'open') tx.streams.putEpoch({ ...row, state: isRecovered ? 'recovered' : 'abandoned' });
    const burned = notes.filter(({ kind, grant }) => kind === 'burned' && grant !== undefined && tx.ledger.grant(grant)?.epoch === epoch);
    const isLost = row.state === 'open' && !isRecovered && row.lastSeq >= 0;
    if (burned.length > 0 || isLost) recordAbandoned(tx, row, burned, deps);
  }
}

export interface SupersedingEpoch {
  readonly stream: StreamId;
  readonly epoch: number;
  readonly body: ProxyBody;
  readonly notes: readonly BurnNote[];
}

function recordAbandoned(tx: Tx, { stream, epoch, lastSeq }: EpochRow, burned: readonly BurnNote[], deps: OwnDeps): void {
  const detail = {
    ...Object.fromEntries(burned.map(({ grant, nano }) => [`burned ${grant}`, String(nano)])),
    epoch: String(epoch),
    lastSeq: String(lastSeq),
  };
  recordOwn(tx, { detail, object: stream, time: new Date(tx.now()).toISOString(), type: 'epoch_abandoned', v: 1 }, deps);
}
