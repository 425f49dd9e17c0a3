import { createHash } from 'node:crypto';
import { isObject } from '../../core/json.ts';
import { deriveKey, type Random } from './aead.ts';

/** The Secret in the operator's namespace that holds the root keys: `current`, and `previous` during a rotation. */
export const rootKeySecret = 'keyforge-root-key';

const rootKeyBytes = 32;

/**
 * The keys that seal all data at rest; a secret. No other code knows their source, so that a key store outside the cluster can
 * replace the Secret.
 */
export interface RootRing {
  /** Seals and opens. 32 bytes. */
  readonly current: Buffer;
  /** Opens only. 32 bytes. */
  readonly previous?: Buffer;
}

/** Why sealed state is unusable: `reason` for a condition, `message` for people. Neither contains a secret. */
export interface VaultProblem {
  readonly kind: 'problem';
  readonly reason: 'RootKeyUnreadable' | 'RootKeyUnknown' | 'VaultUnreadable';
  /** What, which object, what to do. */
  readonly message: string;
}

/** Reads the `data` of the root-key Secret (base64 items). */
export function readRootRing(data: unknown): { readonly kind: 'ring'; readonly ring: RootRing } | VaultProblem {
  const items = readItems(data);
  const current = items?.get('current');
  const previous = items?.get('previous');
  if (current?.length !== rootKeyBytes) return unreadable('current', current);
  if (previous !== undefined && previous.length !== rootKeyBytes) return unreadable('previous', previous);
  return { kind: 'ring', ring: previous === undefined ? { current } : { current, previous } };
}

/** Makes the `data` of a new root-key Secret. */
export function newRootKey(random: Random): Readonly<Record<'current', string>> {
  return { current: Buffer.from(random(rootKeyBytes)).toString('base64') };
}

/** The id of a root key, 8 bytes, which reveals nothing of the key. */
export function rootKeyId(rootKey: Buffer): Buffer {
  return createHash('sha256').update(deriveKey(rootKey, 'keyforge/root-key-id/v1')).digest().subarray(0, 8);
}

/** Decodes the `data` of a Secret; null if it is not a mapping of names to base64 strings. */
export function readItems(data: unknown): ReadonlyMap<string, Buffer> | null {
  if (!isObject(data)) return null;
  const items = new Map<string, Buffer>();
  for (const [name, value] of Object.entries(data)) {
    if (typeof value !== 'string') return null;
    const bytes = Buffer.from(value, 'base64');
    if (bytes.toString('base64') !== value) return null;
    items.set(name, bytes);
  }
  return items;
}

function unreadable(item: string, found: Buffer | undefined): VaultProblem {
  const fault = found === undefined ? 'is missing or not base64' : `has ${found.length} bytes instead of ${rootKeyBytes}`;
  return {
    kind: 'problem',
    reason: 'RootKeyUnreadable',
    message:
      `item "${item}" of Secret ${rootKeySecret} in the operator's namespace ${fault}; restore the Secret from a backup. ` +
      'Without it, delete the Secret: an operator that still has the keys writes them again; any other makes a new root key and ' +
      'seals the credentials again from the Secrets that the ProviderPools name',
  };
}
