import { canonicalize } from '../../../core/audit/canonical.ts';
import type { Problem } from '../../../core/errors.ts';
import type { ProviderPool, VirtualKey } from '../../../core/manifest/types.ts';
import type { PoolName } from '../../../core/names.ts';
import type { Snapshot } from '../../../core/protocol/snapshot.ts';
import type { KubeObject } from '../../kube/types.ts';
import { type Candidate, parked, type Step } from './fallback.ts';
import { idOf, type KeyReading, type Reading } from './read.ts';

/** A version of an object that was served as it stood then, and whose it was. */
export interface Good {
  readonly uid: string;
  readonly manifest: VirtualKey | ProviderPool;
}

/** A pool's credentials as they were opened, by name; the values are secrets. */
export type Opened = ReadonlyMap<string, string>;

/** True where an object is as good as deleted: finalizers of others may hold it for long. */
export function isGone({ metadata }: KubeObject): boolean {
  return metadata.deletionTimestamp !== undefined;
}

/** A VirtualKey's versions: as declared, as it was last good, parked. */
export function keyCandidate(name: VirtualKey['name'], reading: KeyReading, good: Good | undefined): Candidate {
  const id = idOf('VirtualKey', name);
  const { manifest, problems } = reading;
  // Of most keys it is the very same object, and nothing need be compared.
  const isOther = good !== undefined && good.manifest !== manifest;
  const last = isOther && good.manifest.kind === 'VirtualKey' ? stopped(good.manifest, reading) : undefined;
  const nothing: Step = { serving: 'nothing', manifest: parked({ name, origin: { file: id, line: 1 } }) };
  return { id, problems, steps: [...versions(manifest, last), nothing] };
}

/** A ProviderPool's versions: as declared, as it was last good, none. One without credentials is not served; `why` tells. */
export function poolCandidate(
  name: PoolName,
  { manifest, problems }: Reading<ProviderPool>,
  { good, unserved }: { readonly good: Good | undefined; readonly unserved: string | null },
): Candidate {
  const id = idOf('ProviderPool', name);
  const none: Step = { serving: 'nothing', manifest: null };
  if (unserved === null) return { id, problems, steps: [...versions(manifest, good?.manifest), none] };
  const why: Problem = { where: id, message: unserved };
  return { id, problems: [...problems, why], steps: [none] };
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

function versions(manifest: VirtualKey | ProviderPool | null, good: VirtualKey | ProviderPool | undefined): readonly Step[] {
  const declared: readonly Step[] = manifest === null ? [] : [{ serving: 'declared', manifest }];
  const isSame = manifest !== null && good !== undefined && canonicalize(manifest) === canonicalize(good);
  return good === undefined || isSame ? declared : [...declared, { serving: 'lastGood', manifest: good }];
}

/** The credentials that the pools being served name; what else a vault still holds is left there. */
export function credentialsFor(
  manifests: readonly (VirtualKey | ProviderPool)[],
  opened: (pool: PoolName) => Opened,
): Snapshot['credentials'] {
  return manifests.flatMap((manifest) => {
    if (manifest.kind !== 'ProviderPool') return [];
    const values = opened(manifest.name);
    return manifest.keys.flatMap(({ name }) => {
      const value = values.get(name);
      return value === undefined ? [] : [{ pool: manifest.name, name, value }];
    });
  });
}
