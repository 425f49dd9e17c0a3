import { canonicalize } from '../audit/canonical.ts';
import { defined } from '../json.ts';
import { type ProviderKind, providers } from '../manifest/providers.ts';
import { emptySpec, type Limit, type Manifests, type ProviderPool, type VirtualKeySpec } from '../manifest/types.ts';
import type { KeyName, PoolName } from '../names.ts';
import type { BookEntry, Learned } from '../price/types.ts';
import type { Problem } from '../problem.ts';
import type { ChildSpec } from '../protocol/children.ts';
import { namingProblems, poolsOf } from './consent.ts';
import type { AccountNode, Compiled, KeyDocument, PoolDocument } from './documents.ts';
import { narrow } from './narrow.ts';
import { namespaceSelects } from './selector.ts';
import { growTree, type TreeNode } from './tree.ts';

/** The key of a sub-agent or of a run. It is narrower than its parent in everything, and ends with it. */
export interface ChildKey {
  readonly key: KeyName;
  readonly parent: KeyName;
  readonly spec: ChildSpec;
  /** Milliseconds since the epoch, as is expiresAtMs. */
  readonly createdAtMs: number;
  readonly expiresAtMs?: number;
  /** The Pod or Job of a run. A run's money is not set aside: it comes from the whole path. */
  readonly run?: string;
}

/** All input of the documents. */
export interface CompileInput {
  readonly manifests: Manifests;
  /** Start of the key's ttl, milliseconds since the epoch; undefined if not yet known. */
  createdAtMs(key: KeyName): number | undefined;
  readonly children: readonly ChildKey[];
  /** True if this very manifest is already active. A pool that refuses it then withdrew its consent: that is no mistake of the manifest. */
  isServed(key: KeyName, spec: VirtualKeySpec): boolean;
  /** The built-in price book of a provider's pools with this endpoint. */
  book(provider: ProviderKind, endpoint: string): readonly BookEntry[];
  /** What bills have taught about a pool's models, by upstream name. */
  learned(pool: PoolName): Readonly<Record<string, Learned>>;
  /** `sha256:…` of an RFC 8785 text. */
  digest(canonicalText: string): string;
}

/** The result of a compilation. */
export interface Outcome {
  readonly compiled: Compiled;
  readonly problems: readonly Problem[];
  readonly withdrawn: readonly Problem[];
}

/**
 * Compiles manifests to documents. `keys` holds the keys with a token; `plans` holds every node, also those with only a budget.
 * If there are problems, discard the result: the last good state stays in force. `withdrawn` is for people: it lists pools
 * that active keys name, and that are deleted or no longer admit them. Those keys lose the pool at once.
 */
export function compile(input: CompileInput): Outcome {
  const { manifests } = input;
  const selects = namespaceSelects(manifests.namespaces);
  const nodes = treeNodes(input);
  const tree = growTree(nodes, selects);
  const consent = { selects, pools: new Map<PoolName, ProviderPool>(manifests.pools.map((pool) => [pool.name, pool])) };
  const problems = [...tree.problems];
  const withdrawn: Problem[] = [];
  const report = (node: TreeNode, found: readonly Problem[]): void => {
    if (found.length > 0) (input.isServed(node.key, node.spec) ? withdrawn : problems).push(...found);
  };
  for (const node of nodes) report(node, namingProblems(node, consent.pools));
  const keys: KeyDocument[] = [];
  for (const node of nodes) {
    const path = tree.paths.get(node.key);
    // A sub-agent key works while the VirtualKey that it descends from holds a token itself.
    if (!path?.findLast(({ kind }) => kind === 'declared')?.spec.issueToken) continue;
    const allowed = poolsOf(path, consent);
    // A sub-agent key has no manifest to fix: the problem belongs to the key it descends from.
    if (node.kind === 'declared') report(node, allowed.problems);
    const document = narrow(path, node, allowed.pools);
    keys.push({ ...document, digest: input.digest(canonicalize(document)) });
  }
  const pools: PoolDocument[] = [];
  for (const pool of manifests.pools) {
    const document = poolDocument(pool, input);
    if ('code' in document) problems.push(document);
    else pools.push(document);
  }
  return { compiled: { keys, pools, plans: plansOf(nodes, tree.paths) }, problems, withdrawn };
}

function treeNodes({ manifests, children, createdAtMs }: CompileInput): readonly TreeNode[] {
  const declared = manifests.virtualKeys.map(({ name: key, origin, spec }): TreeNode => {
    return { key, kind: 'declared', spec, ...defined({ origin, createdAtMs: createdAtMs(key) }) };
  });
  // A manifest wins over a sub-agent key of the same name: agents choose those names.
  const taken = new Set(declared.map(({ key }) => key));
  return [...declared, ...children.filter(({ key }) => !taken.has(key)).map(subAgentNode)];
}

function subAgentNode({ key, parent, spec, createdAtMs, expiresAtMs, run }: ChildKey): TreeNode {
  const { usdNano, requests, ttlMs, models, endpoints, outputTokens, delegation } = spec;
  const total: Limit = { window: 'Total', timeZone: 'Etc/UTC', ...defined({ usdNano, requests }) };
  const narrowed: VirtualKeySpec = {
    ...emptySpec,
    parentRef: parent,
    models: { ...emptySpec.models, ...defined({ allow: models }) },
    limits: usdNano === undefined && requests === undefined ? [] : [total],
    perRequest: defined({ outputTokens }),
    delivery: [], // the parent's applies; documents do not carry it
    ...defined({ endpoints: endpoints && { allow: endpoints }, expiresAtMs, ttlMs, delegation }),
  };
  if (run !== undefined) return { key, kind: 'run', spec: narrowed, createdAtMs, run };
  return { key, kind: 'minted', spec: narrowed, createdAtMs, ...defined({ escrowNano: usdNano }) };
}

function poolDocument(pool: ProviderPool, { book, learned, digest }: CompileInput): PoolDocument | Problem {
  const { name, provider, models, origin, timeouts, onDisconnect, maxConnections, sseKeepAliveMs } = pool;
  const endpoint = pool.endpoint ?? providers[provider].endpoint;
  if (endpoint === null) {
    const object = { kind: 'ProviderPool', name } as const;
    return { code: 'endpoint_missing', object, path: 'spec.endpoint', ...defined({ source: origin }), provider };
  }
  const prices = { models, book: book(provider, endpoint) };
  const keys = pool.keys.map((key) => ({ name: key.name, quotaScope: key.quotaScope }));
  return {
    pool: name,
    provider,
    endpoint,
    keys,
    ...prices,
    ...(pool.freeErrors === true ? { freeErrors: true } : {}),
    ...(pool.countable === true ? { countable: true } : {}),
    freeFields: pool.freeFields,
    ...defined({ timeouts, onDisconnect, maxConnections, sseKeepAliveMs }),
    learned: learned(name),
    priceBookDigest: digest(canonicalize(prices)),
  };
}

function plansOf(nodes: readonly TreeNode[], paths: ReturnType<typeof growTree>['paths']): Compiled['plans'] {
  const accounts = new Map(nodes.map((node) => [node.key, accountNode(node)]));
  return nodes.flatMap(({ key }) => {
    const path = paths.get(key)?.map((node) => node.key);
    return path === undefined ? [] : [{ key, path, nodes: path.flatMap((step) => accounts.get(step) ?? []) }];
  });
}

function accountNode({ key, spec, escrowNano }: TreeNode): AccountNode {
  return { key, limits: spec.limits, rate: spec.rate, ...defined({ escrowNano }) };
}
