import { createChain } from '../../core/audit/chain.ts';
import type { OperatorBody } from '../../core/audit/types.ts';
import { type KeyName, type ObjectId, objectId, operatorKey, type StreamId, streamId } from '../../core/names.ts';
import type { EpochRow, Tx } from '../store/types.ts';
import type { SealDeps } from '../vault/aead.ts';
import { startEpoch } from './epoch.ts';
import { openRow, sealRow } from './seal.ts';

/** What writing the operator's own stream needs. */
export interface OwnDeps extends SealDeps {
  /** Name of this operator. */
  readonly instance: string;
}

/** Something that the operator did or found; default time: now. */
export type OwnEvent = Omit<OperatorBody, 'v' | 'time'> & Partial<Pick<OperatorBody, 'time'>>;

/** Writes one entry of the operator's own stream. */
export type RecordEvent = (tx: Tx, event: OwnEvent) => void;

/** The name of a key in events, also of a sub-agent key or run. */
export function keyObject(key: KeyName): ObjectId {
  return objectId({ kind: 'VirtualKey', name: key });
}

/** Throws if the root key is not the one that sealed this operator's stream. */
export function checkOwn(tx: Tx, { rootKey, instance }: Pick<OwnDeps, 'rootKey' | 'instance'>): void {
  const row = tx.streams.lastEpoch(ownStream(instance));
  if (row !== null) openHead(row, rootKey);
}

/**
 * Records what the operator did in its own stream, `operator@<instance>`, in the same transaction. The stream is chained like
 * a proxy's, and its one epoch continues over restarts. Throws if the root key is not the one that sealed the stream.
 */
export function recordOwn(tx: Tx, event: OwnEvent, deps: OwnDeps): void {
  const stream = ownStream(deps.instance);
  const row = tx.streams.lastEpoch(stream) ?? startEpoch(tx, { stream, key: operatorKey, instance: deps.instance }, deps).row;
  const key = openHead(row, deps.rootKey);
  const chain = createChain({ stream, epoch: row.epoch, key, head: row.lastSeq, lastMac: Buffer.from(row.lastMac, 'hex') });
  const body: OperatorBody = { v: 1, time: new Date(tx.now()).toISOString(), ...event };
  const entry = chain.append(body, deps.random);
  tx.streams.addEntry({ ...entry, key: operatorKey, type: body.type });
  tx.streams.putEpoch(sealRow({ ...row, lastSeq: entry.seq, lastMac: entry.mac.toString('hex') }, chain.key(), deps));
  chain.wipe();
}

function ownStream(instance: string): StreamId {
  return streamId(operatorKey, instance);
}

function openHead(row: EpochRow, rootKey: Buffer): Buffer {
  const key = openRow(row, rootKey);
  if (key === null) throw new Error(`the head of ${row.stream} does not open: it was altered, or this is not the root key that sealed it`);
  return key;
}
