import { canonicalize } from '../../../core/audit/canonical.ts';
import type { ProviderPool, VirtualKey } from '../../../core/manifest/types.ts';
import { objectId, type PoolName } from '../../../core/names.ts';
import type { PoolFault } from '../../../core/problem.ts';
import type { Snapshot } from '../../../core/protocol/snapshot.ts';
import type { KubeObject } from '../../kube/types.ts';
import { type Candidate, standIn, type Version } from './fallback.ts';
import type { KeyReading, Reading } from './read.ts';

/** The last good version of an object, and the uid of the object that declared it. */
export interface LastGood {
  readonly uid: string | undefined;
  readonly manifest: VirtualKey | ProviderPool;
}

/** A pool's opened credentials, by name; the values are secrets. */
export type Opened = ReadonlyMap<string, string>;

/** True if an object is being deleted: other parties' finalizers may keep it for a long time. */
export function isGone({ metadata }: KubeObject): boolean {
  return metadata.deletionTimestamp !== undefined;
}

/** A VirtualKey's versions: declared, last good, stand-in. */
export function keyCandidate(name: VirtualKey['name'], reading: KeyReading, good: LastGood | undefined): Candidate {
  const { manifest, problems } = reading;
  // Most keys have the same object, so no comparison is necessary.
  const isOther = good !== undefined && good.manifest !== manifest;
  const last = isOther && good.manifest.kind === 'VirtualKey' ? stopped(good.manifest, reading) : undefined;
  const nothing: Version = { serving: 'nothing', manifest: standIn(name) };
  return { id: objectId({ kind: 'VirtualKey', name }), problems, versions: [...versions(manifest, last), nothing] };
}

/** A ProviderPool's versions: declared, last good, none. One with a `fault` is not served. */
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

/** Applies a suspension or an expiry to the last good version too, even if the rest of the object is wrong. */
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

/** The credentials that the active pools name; others in a vault are ignored. */
export function credentialsFor(pools: readonly ProviderPool[], opened: (pool: PoolName) => Opened): Snapshot['credentials'] {
  return pools.flatMap((pool) => {
    const values = opened(pool.name);
    return pool.keys.flatMap(({ name }) => {
      const value = values.get(name);
      return value === undefined ? [] : [{ pool: pool.name, name, value }];
    });
  });
}
