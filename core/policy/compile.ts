import { canonicalize } from '../audit/canonical.ts';
import type { Problem } from '../errors.ts';
import { defaultEndpoints } from '../manifest/providers.ts';
import type { Limit, Manifests, ProviderKind, ProviderPool, VirtualKeySpec } from '../manifest/types.ts';
import type { KeyName, PoolName } from '../names.ts';
import type { BookEntry } from '../price/types.ts';
import type { ChildSpec } from '../protocol/children.ts';
import { namingProblems, poolsOf } from './consent.ts';
import type { AccountNode, Compiled, KeyDocument, PoolDocument } from './documents.ts';
import { narrow } from './narrow.ts';
import { namespaceSelects } from './selector.ts';
import { growTree, type TreeNode } from './tree.ts';

/** A key that an agent minted for a sub-agent, or that a run was given; narrower than its parent in everything, gone with it. */
export interface ChildKey {
  readonly key: KeyName;
  readonly parent: KeyName;
  readonly spec: ChildSpec;
  /** Milliseconds since the epoch, as is expiresAtMs. */
  readonly createdAtMs: number;
  readonly expiresAtMs?: number;
  /** The Pod or Job that it is the run of; its money is then not set aside but drawn from the whole path. */
  readonly run?: string;
}

/** All that the documents are made of. */
export interface CompileInput {
  readonly manifests: Manifests;
  /** From when the key's ttl counts, milliseconds since the epoch; undefined where that is not known yet. */
  createdAtMs(key: KeyName): number | undefined;
  readonly children: readonly ChildKey[];
  /** True where this manifest is served already as it stands: what bars it from a pool is then a consent that was withdrawn, not its mistake. */
  stands(key: KeyName, spec: VirtualKeySpec): boolean;
  /** The built-in price book of a provider. */
  book(provider: ProviderKind): readonly BookEntry[];
  /** `sha256:…` of an RFC 8785 text. */
  digest(canonicalText: string): string;
}

/** What became of the manifests. */
export interface Outcome {
  readonly compiled: Compiled;
  readonly problems: readonly Problem[];
  readonly withdrawn: readonly Problem[];
}

/**
 * Manifests to documents. `keys` holds those that have a token; `plans` every node, also the ones that only hold a budget.
 * Problems non-empty: nothing of it may be used, the last good state keeps serving. `withdrawn` is for people to read:
 * pools that keys name as before, and that are gone or no longer admit them; those keys do without, at once.
 */
export function compile(input: CompileInput): Outcome {
  const { manifests } = input;
  const selects = namespaceSelects(manifests.namespaces);
  const nodes = treeNodes(input);
  const tree = growTree(nodes, selects);
  const consent = { selects, pools: new Map<PoolName, ProviderPool>(manifests.pools.map((pool) => [pool.name, pool])) };
  const problems = [...tree.problems];
  const withdrawn: Problem[] = [];
  const tell = (node: TreeNode, found: readonly Problem[]): void => {
    (input.stands(node.key, node.spec) ? withdrawn : problems).push(...found);
  };
  for (const node of nodes) tell(node, namingProblems(node, consent.pools));
  const keys: KeyDocument[] = [];
  for (const node of nodes) {
    const path = tree.paths.get(node.key);
    // A sub-agent key works as long as the VirtualKey that it descends from holds a token itself.
    if (!path?.findLast(({ origin }) => origin !== undefined)?.spec.issueToken) continue;
    const usable = poolsOf(path, consent);
    // A sub-agent key has no manifest to mend: what bars it is told at the key it descends from.
    if (node.origin !== undefined) tell(node, usable.problems);
    const document = narrow(path, node, usable.pools);
    keys.push({ ...document, digest: input.digest(canonicalize(document)) });
  }
  const pools = manifests.pools.map((pool) => poolDocument(pool, input));
  problems.push(...pools.flatMap((pool) => ('message' in pool ? [pool] : [])));
  const usable = pools.flatMap((pool) => ('message' in pool ? [] : [pool]));
  return { compiled: { keys, pools: usable, plans: plansOf(nodes, tree.paths) }, problems, withdrawn };
}

function treeNodes({ manifests, children, createdAtMs }: CompileInput): readonly TreeNode[] {
  const declared = manifests.virtualKeys.map(({ name: key, origin, spec }): TreeNode => {
    const created = createdAtMs(key);
    return { key, origin, spec, ...(created !== undefined && { createdAtMs: created }) };
  });
  // A manifest wins over a sub-agent key of the same name: agents choose those names.
  const taken = new Set(declared.map(({ key }) => key));
  return [...declared, ...children.filter(({ key }) => !taken.has(key)).map(subAgentNode)];
}

function subAgentNode({ key, parent, spec, createdAtMs, expiresAtMs, run }: ChildKey): TreeNode {
  const { usdNano, requests, ttlMs, models, endpoints, outputTokens, delegation } = spec;
  const total: Limit = {
    window: 'Total',
    timeZone: 'Etc/UTC',
    ...(usdNano !== undefined && { usdNano }),
    ...(requests !== undefined && { requests }),
  };
  const narrowed: VirtualKeySpec = {
    owner: {},
    labels: {},
    parentRef: parent,
    issueToken: true,
    models: { deny: [], aliases: {}, ...(models && { allow: models }) },
    ...(endpoints && { endpoints: { allow: endpoints } }),
    limits: usdNano === undefined && requests === undefined ? [] : [total],
    rate: {},
    perRequest: outputTokens === undefined ? {} : { outputTokens },
    ...(expiresAtMs !== undefined && { expiresAtMs }),
    ...(ttlMs !== undefined && { ttlMs }),
    suspended: false,
    ...(delegation && { delegation }),
    delivery: [], // wherever the parent's allows; documents do not carry it
  };
  if (run !== undefined) return { key, spec: narrowed, createdAtMs, run };
  return { key, spec: narrowed, createdAtMs, ...(usdNano !== undefined && { escrowNano: usdNano }) };
}

function poolDocument(pool: ProviderPool, { book, digest }: CompileInput): PoolDocument | Problem {
  const { name, provider, models, origin } = pool;
  const endpoint = pool.endpoint ?? defaultEndpoints[provider];
  if (endpoint === null) {
    return {
      where: origin.file,
      line: origin.line,
      path: 'spec.endpoint',
      message: `ProviderPool ${name} needs an endpoint: ${provider} has no default`,
    };
  }
  const prices = { models, book: book(provider) };
  const keys = pool.keys.map((key) => ({ name: key.name, quotaScope: key.quotaScope }));
  return { pool: name, provider, endpoint, keys, ...prices, priceBookDigest: digest(canonicalize(prices)) };
}

function plansOf(nodes: readonly TreeNode[], paths: ReturnType<typeof growTree>['paths']): Compiled['plans'] {
  const accounts = new Map(nodes.map((node) => [node.key, accountNode(node)]));
  return nodes.flatMap(({ key }) => {
    const path = paths.get(key)?.map((node) => node.key);
    return path === undefined ? [] : [{ key, path, nodes: path.flatMap((step) => accounts.get(step) ?? []) }];
  });
}

function accountNode({ key, spec, escrowNano }: TreeNode): AccountNode {
  return { key, limits: spec.limits, rate: spec.rate, ...(escrowNano !== undefined && { escrowNano }) };
}
