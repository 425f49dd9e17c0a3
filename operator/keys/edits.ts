import { canonicalize } from '../../core/audit/canonical.ts';
import type { ProviderPool } from '../../core/manifest/types.ts';
import type { Tx } from '../store/types.ts';
import { digestOf, type RecordEvent } from './lives.ts';
import type { Policy } from './policy.ts';

/**
 * Records what an edit of the manifests changed: keys and pools that were there before and differ now. What changed while
 * no operator was up, or none led, is told by the `policy` digest of the calls that follow.
 */
export function recordEdits(tx: Tx, before: Policy, after: Policy, record: RecordEvent): void {
  const specs = new Map(before.manifests.virtualKeys.map(({ name, spec }) => [name, spec]));
  for (const { name, spec } of after.manifests.virtualKeys) {
    const known = specs.get(name);
    // Most are the very same object.
    if (known === undefined || known === spec || before.uids?.get(name) !== after.uids?.get(name)) continue;
    const [was, is] = [canonicalize(known), canonicalize(spec)];
    if (was === is) continue;
    record(tx, { type: 'policy_changed', object: `VirtualKey ${name}`, detail: { spec: digestOf(is), before: digestOf(was) } });
  }
  const pools = new Map([...before.manifests.pools].map((pool) => [pool.name, pool]));
  for (const pool of after.manifests.pools) {
    const was = pools.get(pool.name);
    pools.delete(pool.name);
    const change = was === undefined ? 'added' : changeOf(was, pool, { before, after });
    if (change !== null) record(tx, { type: 'pool_changed', object: `ProviderPool ${pool.name}`, detail: { change } });
  }
  for (const name of pools.keys()) record(tx, { type: 'pool_changed', object: `ProviderPool ${name}`, detail: { change: 'deleted' } });
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
