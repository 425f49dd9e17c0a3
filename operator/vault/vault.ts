import { createHash, timingSafeEqual } from 'node:crypto';
import { type PoolName, partsOf } from '../../core/names.ts';
import { bind, deriveKey, open, type Random, seal } from './aead.ts';
import { type RootRing, readItems, rootKeyId, type VaultProblem } from './ring.ts';

const version = 'keyforge/vault/v1';
/** The item that holds the wrapped data key; no credential can have this name, since names are DNS-1123. */
const dataKeyItem = '_data-key';
const dataKeyBytes = 32;
const keyIdBytes = 8;

/** A provider credential of a pool; `value` is a secret. */
export interface Credential {
  readonly name: string;
  readonly value: string;
}

/** The content of an opened vault Secret. */
interface OpenedPool {
  readonly kind: 'opened';
  /** In the order of their names. */
  readonly credentials: readonly Credential[];
  /** `previous`: seal it again, so that the previous root key can be removed. */
  readonly sealedUnder: 'current' | 'previous';
}

/** The name of the Secret, in the operator's namespace, that holds a pool's credentials. It is a DNS-1123 name, unique to the pool. */
export function vaultSecretName(pool: PoolName): string {
  const { namespace, name } = partsOf(pool);
  const readable = `${namespace}-${name}`.slice(0, 200).replace(/[-.]+$/, '');
  return `keyforge-vault-${readable}-${createHash('sha256').update(pool).digest('hex').slice(0, 20)}`;
}

/**
 * Makes the `data` of a pool's vault Secret: an item for each credential, AES-256-GCM under a fresh data key, and that key
 * wrapped by the current root key. Each item is bound to pool and name, and the wrapped key to the set of names, so that
 * nobody can move, add or remove an item. `openPool` does not detect a complete older Secret that somebody put back;
 * `isUpToDate` does, because it compares the Secret with the pool's own credentials.
 */
export function sealPool(
  pool: PoolName,
  credentials: readonly Credential[],
  ring: RootRing,
  random: Random,
): Readonly<Record<string, string>> {
  const dataKey = Buffer.from(random(dataKeyBytes));
  const names = credentials.map(({ name }) => name);
  const wrapped = seal(wrappingKey(ring.current), dataKey, boundToSet(pool, names), random);
  const sealed = credentials.map(({ name, value }) => [name, seal(dataKey, Buffer.from(value), boundToOne(pool, name), random)] as const);
  const items = [[dataKeyItem, Buffer.concat([rootKeyId(ring.current), wrapped])] as const, ...sealed];
  dataKey.fill(0);
  return Object.fromEntries(items.map(([name, bytes]) => [name, bytes.toString('base64')]));
}

/** Opens the `data` of a pool's vault Secret completely, or not at all. */
export function openPool(pool: PoolName, data: unknown, ring: RootRing): OpenedPool | VaultProblem {
  const items = readItems(data);
  const wrapped = items?.get(dataKeyItem);
  if (items === null || wrapped === undefined) return unreadable(pool, 'does not have the form that KeyForge writes');
  const root = findRoot(wrapped.subarray(0, keyIdBytes), ring);
  if (root === null) return unknownRoot(pool);

  const names = [...items.keys()].filter((name) => name !== dataKeyItem);
  const dataKey = open(wrappingKey(root.key), wrapped.subarray(keyIdBytes), boundToSet(pool, names));
  if (dataKey?.length !== dataKeyBytes) return unreadable(pool, 'was altered, or belongs to another pool');
  const credentials: Credential[] = [];
  for (const name of names.sort()) {
    const value = open(dataKey, items.get(name) ?? Buffer.alloc(0), boundToOne(pool, name));
    if (value === null) return unreadable(pool, 'was altered');
    credentials.push({ name, value: value.toString() });
  }
  return { kind: 'opened', credentials, sealedUnder: root.place };
}

/** True if the vault Secret's `data` contains exactly these credentials under the current root key, so that nothing must be written. */
export function isUpToDate(pool: PoolName, data: unknown, credentials: readonly Credential[], ring: RootRing): boolean {
  const held = openPool(pool, data, ring);
  return held.kind === 'opened' && held.sealedUnder === 'current' && timingSafeEqual(digest(held.credentials), digest(credentials));
}

/** One digest of names and values, in the order of the names, so that a comparison takes constant time for any lengths. */
function digest(credentials: readonly Credential[]): Buffer {
  const parts = credentials.toSorted((a, b) => (a.name < b.name ? -1 : 1)).flatMap(({ name, value }) => [name, value]);
  return createHash('sha256')
    .update(bind(...parts))
    .digest();
}

function findRoot(id: Buffer, { current, previous }: RootRing): { readonly place: 'current' | 'previous'; readonly key: Buffer } | null {
  if (rootKeyId(current).equals(id)) return { place: 'current', key: current };
  return previous !== undefined && rootKeyId(previous).equals(id) ? { place: 'previous', key: previous } : null;
}

function wrappingKey(rootKey: Buffer): Buffer {
  return deriveKey(rootKey, version);
}

function boundToSet(pool: PoolName, names: readonly string[]): Buffer {
  return bind(version, 'data-key', pool, ...names.toSorted());
}

function boundToOne(pool: PoolName, name: string): Buffer {
  return bind(version, 'credential', pool, name);
}

function unreadable(pool: PoolName, fault: string): VaultProblem {
  return {
    kind: 'problem',
    reason: 'VaultUnreadable',
    message:
      `vault Secret ${vaultSecretName(pool)} of ProviderPool ${pool} ${fault}, so KeyForge uses nothing of it; find out who writes Secrets in ` +
      "the operator's namespace. KeyForge seals it again from the Secrets that the pool names, once it can read all of them",
  };
}

function unknownRoot(pool: PoolName): VaultProblem {
  return {
    kind: 'problem',
    reason: 'RootKeyUnknown',
    message:
      `vault Secret ${vaultSecretName(pool)} of ProviderPool ${pool} is sealed under a root key that is neither "current" nor "previous" ` +
      'of Secret keyforge-root-key; put that key back as "previous". Without it, KeyForge seals the vault Secret again from the ' +
      'Secrets that the pool names, once it can read all of them',
  };
}
