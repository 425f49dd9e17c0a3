import { deriveEpochKey, firstPreviousMac } from '../../core/audit/entry.ts';
import { type KeyName, type StreamId, streamId } from '../../core/names.ts';
import type { OpenReply, OpenRequest } from '../../core/protocol/evidence.ts';
import type { EpochRow, Tx } from '../store/types.ts';
import type { SealDeps } from '../vault/aead.ts';
import { sealRow } from './seal.ts';

const nonceBytes = 16;
const instancePattern = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,252})$/;

/**
 * Opens the next epoch of a key's stream in one proxy. What an older epoch holds stays as it is until the first entry of
 * the new one says what became of it. Throws RangeError where the instance is no name.
 */
export function openEpoch(tx: Tx, ask: OpenRequest, deps: SealDeps): OpenReply {
  if (!instancePattern.test(ask.instance)) throw new RangeError(`"${ask.instance}" is no name for a proxy: use letters, digits, . _ and -`);
  const { row, chainKey } = startEpoch(tx, { stream: streamId(ask.key, ask.instance), ...ask }, deps);
  return { stream: row.stream, epoch: row.epoch, nonce: row.nonce, chainKey: chainKey.toString('hex') };
}

/** Writes the row of a stream's next epoch. */
export function startEpoch(
  tx: Tx,
  of: { readonly stream: StreamId; readonly key: KeyName; readonly instance: string },
  deps: SealDeps,
): { readonly row: EpochRow; readonly chainKey: Buffer } {
  const epoch = (tx.streams.lastEpoch(of.stream)?.epoch ?? 0) + 1;
  const nonce = Buffer.from(deps.random(nonceBytes)).toString('hex');
  const chainKey = deriveEpochKey(deps.rootKey, nonce, of.stream, epoch);
  const head = { lastSeq: -1, lastMac: firstPreviousMac.toString('hex') };
  const row = sealRow({ stream: of.stream, key: of.key, instance: of.instance, epoch, nonce, state: 'open', ...head }, chainKey, deps);
  tx.streams.putEpoch(row);
  return { row, chainKey };
}
