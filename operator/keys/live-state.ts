import type { ProviderKind } from '../../core/manifest/providers.ts';
import type { VirtualKeySpec } from '../../core/manifest/types.ts';
import type { KeyName } from '../../core/names.ts';
import { compile } from '../../core/policy/compile.ts';
import type { AccountPlan, Compiled, KeyDocument, PoolDocument } from '../../core/policy/documents.ts';
import type { BookEntry } from '../../core/price/types.ts';
import type { Problem } from '../../core/problem.ts';
import { learnedByPool } from '../ledger/learn.ts';
import type { ChildRow, Tx } from '../store/types.ts';
import { livingChildren } from './children.ts';
import { digestOf } from './edits.ts';
import { continuingKeys, keysWithoutToken } from './lifecycle.ts';
import type { Policy } from './policy.ts';
import { type Tokens, tokensOf } from './tokens.ts';

/** What this process serves: the compiled policy, and the tokens of its keys. Each change replaces the whole. */
export interface LiveState {
  readonly policy: Policy;
  /** Grows with each change. */
  readonly revision: number;
  /** Revision of the store's rows that it is made of, at the time of reading. */
  readonly rowsRevision: number;
  readonly pools: readonly PoolDocument[];
  /** Keys with tokens, sub-agent keys included. */
  readonly documents: ReadonlyMap<KeyName, KeyDocument>;
  /** Every node, also those with only a budget. */
  readonly plans: ReadonlyMap<KeyName, AccountPlan>;
  /** Declared keys with a life. */
  readonly specs: ReadonlyMap<KeyName, VirtualKeySpec>;
  readonly tokens: ReadonlyMap<KeyName, Tokens>;
  /** Living sub-agent keys and keys of runs. */
  readonly children: readonly ChildRow[];
  /** Sub-agent keys that agents minted, by their parent. */
  readonly minted: ReadonlyMap<KeyName, readonly ChildRow[]>;
  /** Pools that keys name and may no longer use, for people. */
  readonly withdrawn: readonly Problem[];
}

/** What compiling a policy needs. */
export interface CompileDeps {
  /** The current built-in price book of a provider's pools with this endpoint. */
  readonly book: (tx: Tx, provider: ProviderKind, endpoint: string) => readonly BookEntry[];
  /**
   * What to do if a key names a pool that is missing or does not admit it. `refuse` rejects such a new manifest, for a single
   * source of manifests. `withdraw` serves the key without the pool, for a cluster, where objects arrive in any order.
   */
  readonly poolProblems: 'refuse' | 'withdraw';
}

/** A policy and its sub-agent keys, compiled together. If there are problems, discard it. */
interface Compilation {
  readonly policy: Policy;
  /** Declared keys whose life continues. */
  readonly continuing: ReadonlySet<KeyName>;
  readonly children: readonly ChildRow[];
  readonly compiled: Compiled;
  readonly problems: readonly Problem[];
  readonly withdrawn: readonly Problem[];
}

/** Compiles a policy. `previous`: the current live state. */
export function compilePolicy(tx: Tx, policy: Policy, previous: LiveState | null, { book, poolProblems }: CompileDeps): Compilation {
  const { manifests, createdAtMs } = policy;
  const continuing = continuingKeys(tx, policy);
  const ended = keysWithoutToken(policy);
  const rows = tx.keys.children().filter(({ parent }) => !ended.has(parent));
  const children = livingChildren(rows, continuing, tx.now());
  const taught = learnedByPool(tx);
  const outcome = compile({
    manifests,
    // Without an object, the ttl of a new key begins now, in the transaction that writes its first row.
    createdAtMs: (key) => createdAtMs?.get(key) ?? (continuing.has(key) ? tx.keys.createdAt(key) : null) ?? tx.now(),
    children,
    isServed(key, { pools = [], parentRef }) {
      if (poolProblems === 'withdraw') return true;
      const served = previous?.specs.get(key);
      return served !== undefined && served.parentRef === parentRef && (served.pools ?? []).join() === pools.join();
    },
    book: (provider, endpoint) => book(tx, provider, endpoint),
    learned: (pool) => taught.get(pool) ?? {},
    digest: digestOf,
  });
  return { policy, continuing, children, ...outcome };
}

/** Grows with every change of keys, tokens and what bills taught, by any process. */
export function revisionOf(tx: Tx): number {
  return tx.keys.revision() + tx.learned.revision();
}

/** Makes the state from a compilation without problems and from the current tokens and lives in the store. */
export function assembleState(tx: Tx, { policy, children, compiled, withdrawn }: Compilation, revision: number): LiveState {
  const named = new Set(tx.keys.names());
  const continuing = continuingKeys(tx, policy);
  const declared = new Set(policy.manifests.virtualKeys.map(({ name }) => name));
  // If another process decides, a new life may not have begun yet.
  const isAlive = (key: KeyName): boolean => !declared.has(key) || (continuing.has(key) && named.has(key));
  const keys = compiled.keys.filter(({ key }) => isAlive(key));
  return {
    policy,
    revision,
    rowsRevision: revisionOf(tx),
    pools: compiled.pools,
    children,
    minted: Map.groupBy(
      children.filter(({ run }) => run === undefined),
      ({ parent }) => parent,
    ),
    withdrawn,
    tokens: new Map(keys.map(({ key }) => [key, tokensOf(tx.keys, key, tx.now())])),
    documents: new Map(keys.map((document) => [document.key, document])),
    plans: new Map(compiled.plans.filter(({ key }) => isAlive(key)).map((plan) => [plan.key, plan])),
    specs: new Map(policy.manifests.virtualKeys.filter(({ name }) => isAlive(name)).map(({ name, spec }) => [name, spec])),
  };
}
