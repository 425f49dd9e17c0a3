import type { ChildSpec, Snapshot } from '../../core/control.ts';
import type { Problem } from '../../core/errors.ts';
import type { KeyName } from '../../core/key.ts';
import type { ProviderKind, VirtualKeySpec } from '../../core/manifest/types.ts';
import { compile } from '../../core/policy/compile.ts';
import type { AccountPlan, Compiled, KeyDocument } from '../../core/policy/documents.ts';
import type { BookEntry } from '../../core/price/types.ts';
import type { ChildRow, Store, Tx } from '../store/types.ts';
import { livingChildren } from './children.ts';
import { recordEdits } from './edits.ts';
import { beginLives, digestOf, endChild, endLives, type LifeDeps } from './lives.ts';
import type { Policy } from './policy.ts';
import { snapshotOf } from './snapshot.ts';
import type { TokenFiles } from './token-files.ts';
import { type Tokens, tokensOf } from './tokens.ts';

/** The state that is served now. Replaced whole by each change. */
export interface Live {
  readonly policy: Policy;
  readonly snapshot: Snapshot;
  /** Keys that have tokens, sub-agent keys among them. */
  readonly documents: ReadonlyMap<KeyName, KeyDocument>;
  /** Every node, also those that only hold a budget. */
  readonly plans: ReadonlyMap<KeyName, AccountPlan>;
  /** Declared keys. */
  readonly specs: ReadonlyMap<KeyName, VirtualKeySpec>;
  readonly tokens: ReadonlyMap<KeyName, Tokens>;
  /** Living sub-agent keys. */
  readonly children: readonly ChildRow[];
  /** Pools that keys name and may no longer use; for people to read. */
  readonly withdrawn: readonly Problem[];
}

/** What a change did: `changed` rebuilds and pushes; `minted` also brings the token files up to date. */
export interface Change<T> {
  readonly value: T;
  readonly changed: boolean;
  readonly minted?: ReadonlyMap<KeyName, string>;
}

/** Owns the live state and the rows of keys that it is made from. */
export interface Registry {
  /** Null until the first policy was adopted. */
  live(): Live | null;
  /** Problems: nothing changed, the last good state keeps serving. */
  adopt(policy: Policy): readonly Problem[];
  /** One transaction that only reads; throws before the first policy was adopted. */
  read<T>(work: (tx: Tx, live: Live) => T): T;
  /** One transaction that changes rows and rebuilds the state; throws before the first policy was adopted. */
  change<T>(work: (tx: Tx, live: Live) => Change<T>): T;
}

export interface RegistryDeps extends LifeDeps {
  readonly store: Store;
  readonly files: TokenFiles;
  /** The built-in price book of a provider, as of now. */
  readonly book: (provider: ProviderKind) => readonly BookEntry[];
  /** Called in the same turn in which a change became durable. */
  readonly onChange: (live: Live) => void;
}

/** An empty registry. */
export function createRegistry(deps: RegistryDeps): Registry {
  let live: Live | null = null;
  let revision = 0;

  function served(): Live {
    if (live === null) throw new Error('no policy is served yet');
    return live;
  }

  function serve(next: Live): void {
    live = next;
    revision = next.snapshot.revision;
    deps.onChange(next);
  }

  function syncFiles(next: Live, minted: ReadonlyMap<KeyName, string>): void {
    for (const [key, token] of minted) if (next.specs.has(key)) deps.files.write(key, token);
    const holders = [...next.specs].filter(([key, { issueToken }]) => issueToken && next.tokens.get(key)?.current !== null);
    deps.files.keepOnly(new Set(holders.map(([key]) => key)));
  }

  return {
    live: () => live,
    adopt(policy) {
      const outcome = deps.store.transaction((tx) => {
        const family = familyOf(tx, policy);
        const { problems, ...compiled } = compileAll(tx, policy, { living: family.living, book: deps.book, before: live });
        if (problems.length + policy.missing.length > 0) return { problems: [...policy.missing, ...problems] };
        for (const row of family.gone) endChild(tx, row, 'its parent is gone', deps.record);
        endLives(tx, new Set(policy.manifests.virtualKeys.map(({ name }) => name)), deps.record);
        const minted = beginLives(tx, policy.manifests.virtualKeys, deps);
        if (live !== null) recordEdits(tx, live.policy, policy, deps.record);
        return { minted, next: assemble(tx, { policy, children: family.living, ...compiled, revision: revision + 1 }) };
      });
      if ('problems' in outcome) return outcome.problems;
      syncFiles(outcome.next, outcome.minted);
      serve(outcome.next);
      return [];
    },
    read(work) {
      const now = served();
      return deps.store.transaction((tx) => work(tx, now));
    },
    change(work) {
      const before = served();
      const { done, next } = deps.store.transaction((tx) => {
        const done = work(tx, before);
        return { done, next: done.changed ? rebuild(tx, before.policy) : null };
      });
      if (next === null) return done.value;
      if (done.minted !== undefined) syncFiles(next, done.minted);
      serve(next);
      return done.value;
    },
  };

  function rebuild(tx: Tx, policy: Policy): Live {
    const family = familyOf(tx, policy);
    const { problems, ...compiled } = compileAll(tx, policy, { living: family.living, book: deps.book, before: live });
    const [problem] = problems;
    // Neither tokens nor sub-agent keys can make an accepted policy wrong.
    if (problem !== undefined) throw new Error(`the policy that is served no longer compiles: ${problem.message}`);
    for (const row of family.gone) endChild(tx, row, 'it or its parent has ended', deps.record);
    return assemble(tx, { policy, children: family.living, ...compiled, revision: revision + 1 });
  }
}

/** Sub-agent keys that stand, and rows of those that do no more. */
function familyOf(tx: Tx, { manifests }: Policy): { readonly living: readonly ChildRow[]; readonly gone: readonly ChildRow[] } {
  const rows = tx.keys.children();
  const living = new Set(livingChildren(rows, new Set(manifests.virtualKeys.map(({ name }) => name)), tx.now()));
  return { living: [...living], gone: rows.filter((row) => !living.has(row)) };
}

function compileAll(
  tx: Tx,
  { manifests }: Policy,
  { living, book, before }: { readonly living: readonly ChildRow[]; readonly book: RegistryDeps['book']; readonly before: Live | null },
): ReturnType<typeof compile> {
  return compile({
    manifests,
    // A key that is seen for the first time begins its ttl now, in the transaction that writes its first row.
    createdAtMs: (key) => tx.keys.createdAt(key) ?? tx.now(),
    children: living.map((row) => ({ ...row, spec: JSON.parse(row.spec) as ChildSpec })),
    stands(key, { pools = [], parentRef }) {
      const served = before?.specs.get(key);
      return served !== undefined && served.parentRef === parentRef && (served.pools ?? []).join() === pools.join();
    },
    book,
    digest: digestOf,
  });
}

interface Assembly {
  readonly policy: Policy;
  readonly children: readonly ChildRow[];
  readonly compiled: Compiled;
  readonly withdrawn: readonly Problem[];
  readonly revision: number;
}

function assemble(tx: Tx, { policy, children, compiled, withdrawn, revision }: Assembly): Live {
  const tokens = new Map(compiled.keys.map(({ key }) => [key, tokensOf(tx.keys, key, tx.now())]));
  const none: Tokens = { current: null, leaving: [], revoked: false };
  return {
    policy,
    children,
    withdrawn,
    tokens,
    documents: new Map(compiled.keys.map((document) => [document.key, document])),
    plans: new Map(compiled.plans.map((plan) => [plan.key, plan])),
    specs: new Map(policy.manifests.virtualKeys.map(({ name, spec }) => [name, spec])),
    snapshot: snapshotOf({ revision, compiled, credentials: policy.credentials, tokens: (key) => tokens.get(key) ?? none }),
  };
}
