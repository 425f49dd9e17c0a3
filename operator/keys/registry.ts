import type { ProviderKind, VirtualKeySpec } from '../../core/manifest/types.ts';
import type { KeyName, TokenId } from '../../core/names.ts';
import { compile } from '../../core/policy/compile.ts';
import type { AccountPlan, Compiled, KeyDocument, PoolDocument } from '../../core/policy/documents.ts';
import type { BookEntry } from '../../core/price/types.ts';
import { describeProblem, type Problem } from '../../core/problem.ts';
import type { ChildRow, Store, Tx } from '../store/types.ts';
import { livingChildren } from './children.ts';
import { recordEdits } from './edits.ts';
import { beginLives, continuing, digestOf, endLives, endOrphans, endTokens, type LifeDeps, withoutToken } from './lives.ts';
import type { Policy } from './policy.ts';
import { openToken } from './token-seal.ts';
import { type Tokens, tokensOf } from './tokens.ts';

/** The state that is served now. Replaced whole by each change. */
export interface Live {
  readonly policy: Policy;
  /** Grows with each change. */
  readonly revision: number;
  /** Of the store's rows of keys, as they were read. */
  readonly rows: number;
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

/** What a change did: `changed` rebuilds and pushes. */
export interface Change<T> {
  readonly value: T;
  readonly changed: boolean;
}

/** Owns the live state and the rows of keys that it is made from. */
export interface Registry {
  /** Null until the first policy was adopted. */
  live(): Live | null;
  /** Problems: nothing changed, the last good state keeps serving. */
  adopt(policy: Policy): readonly Problem[];
  /** The token that opens a declared key now; null where it issues none or is revoked. */
  token(key: KeyName): string | null;
  /** The tokens of all declared keys that have one. */
  tokens(): ReadonlyMap<KeyName, string>;
  /** One transaction that only reads; throws before the first policy was adopted. */
  read<T>(work: (tx: Tx, live: Live) => T): T;
  /** One transaction that changes rows and rebuilds the state; throws before the first policy was adopted. */
  change<T>(work: (tx: Tx, live: Live) => Change<T>): T;
  /** After another process wrote: takes over what it wrote of keys. False where that was nothing. */
  refresh(): boolean;
}

export interface RegistryDeps extends LifeDeps {
  readonly store: Store;
  /** The built-in price book of a provider, as of now. */
  readonly book: (provider: ProviderKind) => readonly BookEntry[];
  /**
   * A key that names a pool which is missing or does not admit it: `refuse` such a manifest when it is new, as one source of
   * manifests demands, or serve it without the pool (`withdraw`), as a cluster does, where objects come in any order.
   */
  readonly poolProblems: 'refuse' | 'withdraw';
  /**
   * Whether this process says which declared keys live: of those over one store at most one may, and it must know of every
   * key that was declared when it began to. The others serve the lives and tokens that they find in the store.
   */
  readonly decides: () => boolean;
  /** Called in the same turn in which a change became durable. */
  readonly onChange: (live: Live) => void;
}

/** An empty registry. */
export function createRegistry(deps: RegistryDeps): Registry {
  let live: Live | null = null;
  let revision = 0;
  /** Current tokens that this process read or made. */
  let opened: ReadonlySet<TokenId> = new Set();
  /** The policy up to which edits are recorded, here or by another that is at work. */
  let told: Policy | null = null;

  function served(): Live {
    if (live === null) throw new Error('no policy is served yet');
    return live;
  }

  function token(key: KeyName): string | null {
    const current = live?.specs.get(key)?.issueToken === true ? live.tokens.get(key)?.current : null;
    return current ? openToken(current, deps.rootKey) : null;
  }

  function serve(next: Live): void {
    live = next;
    revision = next.revision;
    deps.onChange(next);
  }

  return {
    live: () => live,
    adopt(policy) {
      const outcome = deps.store.transaction((tx) => {
        const standing = continuing(tx, policy);
        const children = childrenOf(tx, policy, standing);
        const { problems, ...compiled } = compileAll(tx, policy, { standing, children, deps, before: live });
        if (problems.length + policy.missing.length > 0) return { problems: [...policy.missing, ...problems] };
        const decides = deps.decides();
        if (decides) decide(tx, policy, standing);
        return { decides, next: assemble(tx, { policy, children, ...compiled, revision: revision + 1 }) };
      });
      if ('problems' in outcome) return outcome.problems;
      const { decides, next } = outcome;
      if (decides) opened = new Set([...next.tokens.values()].flatMap(({ current }) => current?.id ?? []));
      if (decides || told === null) told = policy;
      serve(next);
      return [];
    },
    token,
    tokens: () => new Map([...(live?.specs.keys() ?? [])].flatMap((key) => pair(key, token(key)))),
    read(work) {
      const now = served();
      return deps.store.transaction((tx) => work(tx, now));
    },
    change(work) {
      const before = served();
      const { done, next } = deps.store.transaction((tx) => {
        // What another process wrote since counts here already: a key that it minted ends with a parent that is revoked.
        const now = tx.keys.revision() === before.rows ? before : rebuild(tx, before.policy);
        const done = work(tx, now);
        if (done.changed) return { done, next: rebuild(tx, before.policy) };
        return { done, next: now === before ? null : now };
      });
      if (next === null) return done.value;
      serve(next);
      return done.value;
    },
    refresh() {
      const before = live;
      if (before === null) return false;
      told = before.policy;
      const next = deps.store.transaction((tx) => (tx.keys.revision() === before.rows ? null : rebuild(tx, before.policy)));
      if (next !== null) serve(next);
      return next !== null;
    },
  };

  function decide(tx: Tx, policy: Policy, standing: ReadonlySet<KeyName>): void {
    endLives(tx, standing, deps.record);
    endTokens(tx, withoutToken(policy), deps.record);
    endOrphans(tx, standing, deps.record);
    beginLives(tx, policy, { ...deps, served: ({ id }) => opened.has(id) });
    if (told !== null) recordEdits(tx, told, policy, deps.record);
  }

  function rebuild(tx: Tx, policy: Policy): Live {
    // By the store alone: what this process knows of the manifests may lag behind the one that decides.
    endOrphans(tx, new Set(tx.keys.names()), deps.record);
    const standing = continuing(tx, policy);
    const children = childrenOf(tx, policy, standing);
    const { problems, ...compiled } = compileAll(tx, policy, { standing, children, deps, before: live });
    const [problem] = problems;
    // Neither tokens nor sub-agent keys can make an accepted policy wrong.
    if (problem !== undefined) throw new Error(`the policy that is served no longer compiles: ${describeProblem(problem)}`);
    return assemble(tx, { policy, children, ...compiled, revision: revision + 1 });
  }
}

/** Sub-agent keys that live beside these manifests. */
function childrenOf(tx: Tx, policy: Policy, standing: ReadonlySet<KeyName>): readonly ChildRow[] {
  const ended = withoutToken(policy);
  const rows = tx.keys.children().filter(({ parent }) => !ended.has(parent));
  return livingChildren(rows, standing, tx.now());
}

function pair(key: KeyName, token: string | null): readonly (readonly [KeyName, string])[] {
  return token === null ? [] : [[key, token]];
}

function compileAll(tx: Tx, { manifests, createdAtMs }: Policy, { standing, children, deps, before }: Family): ReturnType<typeof compile> {
  return compile({
    manifests,
    // Without an object, a key that is seen for the first time begins its ttl now, in the transaction that writes its first row.
    createdAtMs: (key) => createdAtMs?.get(key) ?? (standing.has(key) ? tx.keys.createdAt(key) : null) ?? tx.now(),
    children,
    isServed(key, { pools = [], parentRef }) {
      if (deps.poolProblems === 'withdraw') return true;
      const served = before?.specs.get(key);
      return served !== undefined && served.parentRef === parentRef && (served.pools ?? []).join() === pools.join();
    },
    book: deps.book,
    digest: digestOf,
  });
}

interface Family {
  /** Declared keys whose life goes on. */
  readonly standing: ReadonlySet<KeyName>;
  readonly children: readonly ChildRow[];
  readonly deps: RegistryDeps;
  readonly before: Live | null;
}

interface Assembly {
  readonly policy: Policy;
  readonly children: readonly ChildRow[];
  readonly compiled: Compiled;
  readonly withdrawn: readonly Problem[];
  readonly revision: number;
}

function assemble(tx: Tx, { policy, children, compiled, withdrawn, revision }: Assembly): Live {
  const named = new Set(tx.keys.names());
  const standing = continuing(tx, policy);
  const declared = new Set(policy.manifests.virtualKeys.map(({ name }) => name));
  // Where another process decides, a new life may not have begun yet.
  const lives = ({ key }: { readonly key: KeyName }): boolean => !declared.has(key) || (standing.has(key) && named.has(key));
  const keys = compiled.keys.filter(lives);
  return {
    policy,
    revision,
    rows: tx.keys.revision(),
    pools: compiled.pools,
    children,
    minted: Map.groupBy(
      children.filter(({ run }) => run === undefined),
      ({ parent }) => parent,
    ),
    withdrawn,
    tokens: new Map(keys.map(({ key }) => [key, tokensOf(tx.keys, key, tx.now())])),
    documents: new Map(keys.map((document) => [document.key, document])),
    plans: new Map(compiled.plans.filter(lives).map((plan) => [plan.key, plan])),
    specs: new Map(policy.manifests.virtualKeys.filter(({ name }) => lives({ key: name })).map(({ name, spec }) => [name, spec])),
  };
}
