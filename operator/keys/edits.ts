import { hash } from 'node:crypto';
import { canonicalize } from '../../core/audit/canonical.ts';
import type { ProviderPool } from '../../core/manifest/types.ts';
import { objectId } from '../../core/names.ts';
import { keyObject, type RecordEvent } from '../evidence/own-stream.ts';
import type { Tx } from '../store/types.ts';
import type { Policy } from './policy.ts';

/**
 * Records what an edit of the manifests changed: keys and pools that are in both policies and differ. If something changed while
 * no operator ran or led, the `policy` digest of later calls shows it.
 */
export function recordEdits(tx: Tx, before: Policy, after: Policy, record: RecordEvent): void {
  const specs = new Map(before.manifests.virtualKeys.map(({ name, spec }) => [name, spec]));
  for (const { name, spec } of after.manifests.virtualKeys) {
    const known = specs.get(name);
    // Most are the same object.
    if (known === undefined || known === spec || before.uids?.get(name) !== after.uids?.get(name)) continue;
    const [was, is] = [canonicalize(known), canonicalize(spec)];
    if (was === is) continue;
    record(tx, { type: 'policy_changed', object: keyObject(name), detail: { spec: digestOf(is), before: digestOf(was) } });
  }
  const pools = new Map(before.manifests.pools.map((pool) => [pool.name, pool]));
  const recordPool = (name: ProviderPool['name'], change: string): void =>
    record(tx, { type: 'pool_changed', object: objectId({ kind: 'ProviderPool', name }), detail: { change } });
  for (const pool of after.manifests.pools) {
    const was = pools.get(pool.name);
    pools.delete(pool.name);
    const change = was === undefined ? 'added' : changeOf(was, pool, { before, after });
    if (change !== null) recordPool(pool.name, change);
  }
  for (const name of pools.keys()) recordPool(name, 'deleted');
}

/** `sha256:…` of a text. */
export function digestOf(text: string): string {
  return `sha256:${hash('sha256', text)}`;
}

function changeOf(
  was: ProviderPool,
  is: ProviderPool,
  { before, after }: { readonly before: Policy; readonly after: Policy },
): string | null {
  const text = ({ origin: _, ...pool }: ProviderPool) => canonicalize(pool);
  if (text(was) !== text(is)) return 'edited';
  const values = ({ credentials }: Policy) => canonicalize(credentials.filter(({ pool }) => pool === is.name));
  return values(before) === values(after) ? null : 'credential replaced';
}
