import { nearest } from '../manifest/nearest.ts';
import type { ProviderPool } from '../manifest/types.ts';
import { type KeyName, namespaceOf, type PoolName } from '../names.ts';
import type { Problem } from '../problem.ts';
import type { Selects } from './selector.ts';
import { fieldOf, type TreeNode, type TreePath } from './tree.ts';

/** The data that decides which key may use which pool. */
interface Consent {
  readonly pools: ReadonlyMap<PoolName, ProviderPool>;
  readonly selects: Selects;
}

function admits(pool: ProviderPool, key: KeyName, path: TreePath, selects: Selects): boolean {
  return pool.consumers.some(
    ({ namespaceSelector, under }) =>
      selects(namespaceSelector, namespaceOf(key)) && (under === undefined || path.some((node) => node.key === under)),
  );
}

/** Problems of the pools that one manifest names: unknown ones, and none at a root. */
export function namingProblems(node: TreeNode, pools: Consent['pools']): readonly Problem[] {
  const { pools: named, parentRef } = node.spec;
  if (named === undefined) return parentRef === undefined ? [{ code: 'root_without_pool', ...fieldOf(node, 'spec.pools') }] : [];
  const missing = named.filter((pool) => !pools.has(pool));
  if (missing.length === 0) return [];
  const known = [...pools.keys()];
  return missing.map((pool) => {
    const others = { nearest: nearest(pool, known), known: known.slice(0, 10) };
    return { code: 'pool_not_found', ...fieldOf(node, 'spec.pools'), pool, ...others };
  });
}

/**
 * The pools of a key in order of preference. Its nearest node and every other list on its path name them, and they admit
 * the key as a consumer. Only keys with a token have pools: a key with only a budget consumes nothing.
 */
export function poolsOf(
  path: TreePath,
  { pools, selects }: Consent,
): { readonly pools: readonly PoolName[]; readonly problems: readonly Problem[] } {
  const node = path.at(-1);
  const lists = path.flatMap(({ spec }) => (spec.pools === undefined ? [] : [spec.pools]));
  if (node === undefined) return { pools: [], problems: [] };
  const shared = (lists.at(-1) ?? []).filter((name) => pools.has(name) && lists.every((list) => list.includes(name)));
  const closed = (names: readonly PoolName[]) =>
    names.flatMap((name) => pools.get(name) ?? []).filter((pool) => !admits(pool, node.key, path, selects));
  const shut = new Set(closed(shared).map((pool) => pool.name));
  const open = shared.filter((name) => !shut.has(name));
  if (lists.flat().some((name) => !pools.has(name))) return { pools: open, problems: [] }; // a problem of namingProblems
  // Each pool that the key itself names must admit it; of inherited pools, one is enough.
  const refused = closed(node.spec.pools ?? (open.length === 0 ? shared : []));
  const problems = refused.map((pool) => refusal(node, pool, selects));
  if (problems.length > 0 || open.length > 0 || lists.length === 0) return { pools: open, problems };
  return { pools: [], problems: [{ code: 'no_common_pool', ...fieldOf(node, 'spec.pools') }] };
}

function refusal(node: TreeNode, pool: ProviderPool, selects: Selects): Problem {
  const namespace = namespaceOf(node.key);
  const under = pool.consumers.filter((entry) => selects(entry.namespaceSelector, namespace)).flatMap((entry) => entry.under ?? []);
  return { code: 'pool_refuses_key', ...fieldOf(node, 'spec.pools'), pool: pool.name, namespace, under };
}
