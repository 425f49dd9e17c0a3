import { deriveEpochKey, firstPreviousMac } from '../../core/audit/entry.ts';
import { streamId } from '../../core/names.ts';
import type { OpenReply, OpenRequest } from '../../core/protocol/evidence.ts';
import type { EpochRow, Tx } from '../store/types.ts';
import type { SealDeps } from '../vault/aead.ts';
import { sealRow } from './seal.ts';

const nonceBytes = 16;
const instancePattern = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,252})$/;

/**
 * Opens the next epoch of a key's stream in one proxy. What an older epoch holds stays held until the first entry of
 * the new one settles it. Throws RangeError if the instance is not a name.
 */
export function openEpoch(tx: Tx, { key, instance }: OpenRequest, deps: SealDeps): OpenReply {
  if (!instancePattern.test(instance)) throw new RangeError(`"${instance}" is not a name for a proxy: use letters, digits, . _ and -`);
  const { row, chainKey } = startEpoch(tx, { stream: streamId(key, instance), key, instance }, deps);
  return { stream: row.stream, epoch: row.epoch, nonce: row.nonce, chainKey: chainKey.toString('hex'), takesRefusals: true };
}

/** Writes the row of a stream's next epoch. */
export function startEpoch(
  tx: Tx,
  { stream, key, instance }: Pick<EpochRow, 'stream' | 'key' | 'instance'>,
  deps: SealDeps,
): { readonly row: EpochRow; readonly chainKey: Buffer } {
  const epoch = (tx.streams.lastEpoch(stream)?.epoch ?? 0) + 1;
  const nonce = Buffer.from(deps.random(nonceBytes)).toString('hex');
  const chainKey = deriveEpochKey(deps.rootKey, nonce, stream, epoch);
  const lastMac = firstPreviousMac.toString('hex');
  const row = sealRow({ stream, key, instance, epoch, nonce, state: 'open', lastSeq: -1, lastMac }, chainKey, deps);
  tx.streams.putEpoch(row);
  return { row, chainKey };
}
