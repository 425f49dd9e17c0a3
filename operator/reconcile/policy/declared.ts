import { canonicalize } from '../../../core/audit/canonical.ts';
import type { ProviderPool, VirtualKey } from '../../../core/manifest/types.ts';
import { objectId, type PoolName } from '../../../core/names.ts';
import type { PoolFault } from '../../../core/problem.ts';
import type { Snapshot } from '../../../core/protocol/snapshot.ts';
import type { KubeObject } from '../../kube/types.ts';
import { type Candidate, standIn, type Version } from './fallback.ts';
import type { KeyReading, Reading } from './read.ts';

/** The last version of an object that was served as declared, and the uid of the object that declared it. */
export interface LastGood {
  readonly uid: string | undefined;
  readonly manifest: VirtualKey | ProviderPool;
}

/** A pool's credentials as they were opened, by name; the values are secrets. */
export type Opened = ReadonlyMap<string, string>;

/** True where an object is as good as deleted: finalizers of others may hold it for long. */
export function isGone({ metadata }: KubeObject): boolean {
  return metadata.deletionTimestamp !== undefined;
}

/** A VirtualKey's versions: as declared, as it was last good, its stand-in. */
export function keyCandidate(name: VirtualKey['name'], reading: KeyReading, good: LastGood | undefined): Candidate {
  const { manifest, problems } = reading;
  // Of most keys it is the very same object, and nothing need be compared.
  const isOther = good !== undefined && good.manifest !== manifest;
  const last = isOther && good.manifest.kind === 'VirtualKey' ? stopped(good.manifest, reading) : undefined;
  const nothing: Version = { serving: 'nothing', manifest: standIn(name) };
  return { id: objectId({ kind: 'VirtualKey', name }), problems, versions: [...versions(manifest, last), nothing] };
}

/** A ProviderPool's versions: as declared, as it was last good, none. One with a `fault` is not served. */
export function poolCandidate(
  name: PoolName,
  { manifest, problems }: Reading<ProviderPool>,
  { good, fault }: { readonly good: LastGood | undefined; readonly fault: PoolFault | undefined },
): Candidate {
  const id = objectId({ kind: 'ProviderPool', name });
  const none: Version = { serving: 'nothing', manifest: null };
  if (fault !== undefined) return { id, problems: [...problems, fault], versions: [none] };
  return { id, problems, versions: [...versions(manifest, good?.manifest), none] };
}

/** What stops a key holds whatever else is wrong with the object that says so: no older version outlives it. */
function stopped({ spec, ...good }: VirtualKey, { manifest, stops }: KeyReading): VirtualKey {
  const sooner = (field: 'expiresAtMs' | 'ttlMs', other: number | undefined) => {
    const given = [spec[field], other].filter((value) => value !== undefined);
    return given.length === 0 ? {} : { [field]: Math.min(...given) };
  };
  const ends = { ...sooner('expiresAtMs', stops.expiresAtMs), ...sooner('ttlMs', manifest?.spec.ttlMs) };
  return { ...good, spec: { ...spec, ...ends, suspended: spec.suspended || stops.suspended } };
}

function versions(manifest: VirtualKey | ProviderPool | null, good: VirtualKey | ProviderPool | undefined): readonly Version[] {
  const declared: readonly Version[] = manifest === null ? [] : [{ serving: 'declared', manifest }];
  const isSame = manifest !== null && good !== undefined && canonicalize(manifest) === canonicalize(good);
  return good === undefined || isSame ? declared : [...declared, { serving: 'lastGood', manifest: good }];
}

/** The credentials that the pools being served name; what else a vault still holds is left there. */
export function credentialsFor(pools: readonly ProviderPool[], opened: (pool: PoolName) => Opened): Snapshot['credentials'] {
  return pools.flatMap((pool) => {
    const values = opened(pool.name);
    return pool.keys.flatMap(({ name }) => {
      const value = values.get(name);
      return value === undefined ? [] : [{ pool: pool.name, name, value }];
    });
  });
}
