import { defined } from '../json.ts';
import { minOf } from '../money.ts';
import type { PoolName } from '../names.ts';
import type { ConcurrencyLimit, KeyDocument } from './documents.ts';
import type { TreeNode, TreePath } from './tree.ts';

type Delegation = KeyDocument['delegation'];

function expiryOf({ spec, createdAtMs }: TreeNode): number | undefined {
  const ttlEnd = spec.ttlMs === undefined || createdAtMs === undefined ? undefined : createdAtMs + spec.ttlMs;
  return minOf([spec.expiresAtMs, ttlEnd]);
}

function delegationOf(path: TreePath): Delegation {
  let left: Delegation;
  for (const { kind, spec } of path) {
    const own = spec.delegation;
    const isSubAgent = kind === 'minted';
    if (isSubAgent && left === undefined) return undefined;
    if (own === undefined && left === undefined) continue;
    const inherited = left?.maxDepth === undefined ? Number.POSITIVE_INFINITY : left.maxDepth - (isSubAgent ? 1 : 0);
    const maxDepth = Math.min(inherited, own?.maxDepth ?? Number.POSITIVE_INFINITY);
    if (maxDepth < 1) return undefined;
    left = { maxDepth, maxChildren: Math.min(left?.maxChildren ?? Number.POSITIVE_INFINITY, own?.maxChildren ?? Number.POSITIVE_INFINITY) };
  }
  return left;
}

function endpointsOf(path: TreePath): readonly string[] | undefined {
  const lists = path.flatMap(({ spec }) => (spec.endpoints === undefined ? [] : [spec.endpoints.allow]));
  return lists.at(-1)?.filter((endpoint) => lists.every((list) => list.includes(endpoint)));
}

function concurrencyOf(path: TreePath): readonly ConcurrencyLimit[] | undefined {
  const limits = path.flatMap(({ key, spec: { rate } }) =>
    rate.concurrentCalls === undefined ? [] : [{ key, calls: rate.concurrentCalls }],
  );
  return limits.length === 0 ? undefined : limits;
}

/** True if each request takes from an account. Calls in flight do not: the proxy counts them. */
function isCounted({ limits, rate }: TreeNode['spec']): boolean {
  return (
    limits.some(({ requests }) => requests !== undefined) || rate.requestsPerMinute !== undefined || rate.tokensPerMinute !== undefined
  );
}

/**
 * The effective policy of a path's last node: allowed = intersection, denied = union, numbers = minimum. Owner, labels and
 * aliases merge by name, and the nearest node wins. A field wider than an ancestor's has no effect.
 */
export function narrow(path: TreePath, node: TreeNode, pools: readonly PoolName[]): Omit<KeyDocument, 'digest'> {
  const specs = path.map(({ spec }) => spec);
  const capped = specs.flatMap(({ limits }) => limits.map(({ usdNano }) => usdNano));
  return {
    key: node.key,
    path: path.slice(0, -1).map(({ key }) => key),
    owner: Object.assign({}, ...specs.map(({ owner }) => owner)),
    labels: Object.assign({}, ...specs.map(({ labels }) => labels)),
    pools,
    models: {
      allow: specs.flatMap(({ models }) => (models.allow === undefined ? [] : [models.allow])),
      deny: [...new Set(specs.flatMap(({ models }) => models.deny))],
      aliases: Object.assign({}, ...specs.map(({ models }) => models.aliases)),
    },
    perRequest: defined({
      usdNano: minOf(specs.map(({ perRequest }) => perRequest.usdNano)),
      outputTokens: minOf(specs.map(({ perRequest }) => perRequest.outputTokens)),
    }),
    counted: specs.some(isCounted),
    ...defined({
      endpoints: endpointsOf(path),
      smallestCapNano: minOf(capped),
      requestsPerMinute: minOf(specs.map(({ rate }) => rate.requestsPerMinute)),
      concurrentCalls: concurrencyOf(path),
      expiresAtMs: minOf(path.map(expiryOf)),
      suspendedBy: path.findLast(({ spec }) => spec.suspended)?.key,
      delegation: delegationOf(path),
      run: path.findLast(({ run }) => run !== undefined)?.run,
    }),
  };
}
