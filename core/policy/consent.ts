import type { Problem } from '../errors.ts';
import { nearest } from '../manifest/nearest.ts';
import type { ProviderPool } from '../manifest/types.ts';
import { type KeyName, namespaceOf, type PoolName } from '../names.ts';
import { type Selects, selectorFor } from './selector.ts';
import { problemAt, type TreeNode, type TreePath } from './tree.ts';

/** What decides who may use which pool. */
export interface Consent {
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
  if (named === undefined) {
    return parentRef === undefined
      ? [problemAt(node, 'spec.pools', 'has no parent to inherit pools from; name at least one in spec.pools')]
      : [];
  }
  return named
    .filter((pool) => !pools.has(pool))
    .map((pool) => {
      const near = nearest(pool, [...pools.keys()]);
      const known = pools.size === 0 ? 'no ProviderPool is defined' : `known: ${[...pools.keys()].slice(0, 10).join(', ')}`;
      return problemAt(
        node,
        'spec.pools',
        `names the pool ${pool}, which does not exist; ${near === null ? known : `did you mean ${near}?`}`,
      );
    });
}

/**
 * The pools of a key in order of preference: those that its nearest node names, that every other list on its path
 * names too, and that admit it as a consumer. Holders of tokens only: who merely holds a budget consumes nothing.
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
  if (lists.flat().some((name) => !pools.has(name))) return { pools: open, problems: [] }; // told by namingProblems
  // A pool that the key itself names must admit it; of inherited ones, one that does is enough.
  const refused = closed(node.spec.pools ?? (open.length === 0 ? shared : []));
  const problems = refused.map((pool) => refusal(node, pool, selects));
  if (problems.length > 0 || open.length > 0 || lists.length === 0) return { pools: open, problems };
  const advice = 'no pool is named by every list on its path; name one that its ancestors name too';
  return { pools: [], problems: [problemAt(node, 'spec.pools', `is left without a pool: ${advice}`)] };
}

function refusal(node: TreeNode, pool: ProviderPool, selects: Selects): Problem {
  const namespace = namespaceOf(node.key);
  const ancestors = pool.consumers.filter((entry) => selects(entry.namespaceSelector, namespace)).flatMap(({ under }) => under ?? []);
  const advice =
    ancestors.length > 0
      ? `which admits namespace ${namespace} only under ${ancestors.join(' or ')}; set parentRef so that the key descends from there, or add to the pool's spec.consumers: ${selectorFor(namespace)}`
      : `which does not admit it; add to the pool's spec.consumers: ${selectorFor(namespace)}`;
  return problemAt(node, 'spec.pools', `uses the pool ${pool.name}, ${advice}`);
}
