import type { ProviderKind } from '../../core/manifest/providers.ts';
import type { VirtualKeySpec } from '../../core/manifest/types.ts';
import type { KeyName } from '../../core/names.ts';
import { compile } from '../../core/policy/compile.ts';
import type { AccountPlan, Compiled, KeyDocument, PoolDocument } from '../../core/policy/documents.ts';
import type { BookEntry } from '../../core/price/types.ts';
import type { Problem } from '../../core/problem.ts';
import type { ChildRow, Tx } from '../store/types.ts';
import { livingChildren } from './children.ts';
import { digestOf } from './edits.ts';
import { continuingKeys, keysWithoutToken } from './lifecycle.ts';
import type { Policy } from './policy.ts';
import { type Tokens, tokensOf } from './tokens.ts';

/** What this process serves: the policy, compiled, and the tokens that open its keys. Each change replaces it whole. */
export interface LiveState {
  readonly policy: Policy;
  /** Grows with each change. */
  readonly revision: number;
  /** Revision of the store's rows of keys, as this state read them. */
  readonly rowsRevision: number;
  readonly pools: readonly PoolDocument[];
  /** Keys that have tokens, sub-agent keys among them. */
  readonly documents: ReadonlyMap<KeyName, KeyDocument>;
  /** Every node, also those that only hold a budget. */
  readonly plans: ReadonlyMap<KeyName, AccountPlan>;
  /** Declared keys that have a life. */
  readonly specs: ReadonlyMap<KeyName, VirtualKeySpec>;
  readonly tokens: ReadonlyMap<KeyName, Tokens>;
  /** Living sub-agent keys and keys of runs. */
  readonly children: readonly ChildRow[];
  /** Those that agents minted, by their parent. */
  readonly minted: ReadonlyMap<KeyName, readonly ChildRow[]>;
  /** Pools that keys name and may no longer use; for people to read. */
  readonly withdrawn: readonly Problem[];
}

/** What a policy is compiled with. */
export interface CompileDeps {
  /** The built-in price book of a provider, as of now. */
  readonly book: (provider: ProviderKind) => readonly BookEntry[];
  /**
   * A key that names a pool which is missing or does not admit it: `refuse` such a manifest when it is new, as one source of
   * manifests demands, or serve it without the pool (`withdraw`), as a cluster does, where objects come in any order.
   */
  readonly poolProblems: 'refuse' | 'withdraw';
}

/** A policy and the sub-agent keys that live beside it, compiled together. With problems, nothing of it may be used. */
interface Compilation {
  readonly policy: Policy;
  /** Declared keys whose life continues. */
  readonly continuing: ReadonlySet<KeyName>;
  readonly children: readonly ChildRow[];
  readonly compiled: Compiled;
  readonly problems: readonly Problem[];
  readonly withdrawn: readonly Problem[];
}

/** Compiles a policy. `previous` is the state that this process serves now. */
export function compilePolicy(tx: Tx, policy: Policy, previous: LiveState | null, { book, poolProblems }: CompileDeps): Compilation {
  const { manifests, createdAtMs } = policy;
  const continuing = continuingKeys(tx, policy);
  const ended = keysWithoutToken(policy);
  const rows = tx.keys.children().filter(({ parent }) => !ended.has(parent));
  const children = livingChildren(rows, continuing, tx.now());
  const outcome = compile({
    manifests,
    // Without an object, a key that is seen for the first time begins its ttl now, in the transaction that writes its first row.
    createdAtMs: (key) => createdAtMs?.get(key) ?? (continuing.has(key) ? tx.keys.createdAt(key) : null) ?? tx.now(),
    children,
    isServed(key, { pools = [], parentRef }) {
      if (poolProblems === 'withdraw') return true;
      const served = previous?.specs.get(key);
      return served !== undefined && served.parentRef === parentRef && (served.pools ?? []).join() === pools.join();
    },
    book,
    digest: digestOf,
  });
  return { policy, continuing, children, ...outcome };
}

/** The state that a compilation without problems gives, with the tokens and lives that the store has now. */
export function assembleState(tx: Tx, { policy, children, compiled, withdrawn }: Compilation, revision: number): LiveState {
  const named = new Set(tx.keys.names());
  const continuing = continuingKeys(tx, policy);
  const declared = new Set(policy.manifests.virtualKeys.map(({ name }) => name));
  // Where another process decides, a new life may not have begun yet.
  const isAlive = (key: KeyName): boolean => !declared.has(key) || (continuing.has(key) && named.has(key));
  const keys = compiled.keys.filter(({ key }) => isAlive(key));
  return {
    policy,
    revision,
    rowsRevision: tx.keys.revision(),
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
