import type { KeyName, TokenId } from '../../core/names.ts';
import { describeProblem, type Problem } from '../../core/problem.ts';
import type { Store, Tx } from '../store/types.ts';
import { recordEdits } from './edits.ts';
import { beginLives, endLives, endOrphans, endTokens, keysWithoutToken, type LifeDeps } from './lifecycle.ts';
import { assembleState, type CompileDeps, compilePolicy, type LiveState } from './live-state.ts';
import type { Policy } from './policy.ts';
import { openToken } from './tokens.ts';

/** What a change did: `changed` rebuilds the live state and pushes it. */
export interface Change<T> {
  readonly value: T;
  readonly changed: boolean;
}

/** What the registry is made over. */
export interface RegistryDeps extends LifeDeps, CompileDeps {
  readonly store: Store;
  /**
   * Whether this process decides which declared keys live: of those over one store at most one may, and it must know of every
   * key that was declared when it began to. The others serve the lives and tokens that they find in the store.
   */
  readonly decides: () => boolean;
  /** Called in the same turn in which a change became durable. */
  readonly onChange: () => void;
}

/** Owns the live state and the rows of keys that it is made from. */
export class Registry {
  readonly #deps: RegistryDeps;
  #live: LiveState | null = null;
  /** Current tokens that this process read or made. */
  #opened: ReadonlySet<TokenId> = new Set();
  /** The policy up to which this process, or another that decided, recorded edits. */
  #recorded: Policy | null = null;

  constructor(deps: RegistryDeps) {
    this.#deps = deps;
  }

  /** Null until the first policy was adopted. */
  live(): LiveState | null {
    return this.#live;
  }

  /** Problems: nothing changed, the last good state is still served. */
  adopt(policy: Policy): readonly Problem[] {
    const outcome = this.#deps.store.transaction((tx) => {
      const compilation = compilePolicy(tx, policy, this.#live, this.#deps);
      const problems = [...policy.missing, ...compilation.problems];
      if (problems.length > 0) return { problems };
      const decides = this.#deps.decides();
      if (decides) this.#decide(tx, policy, compilation.continuing);
      return { decides, next: assembleState(tx, compilation, this.#nextRevision()) };
    });
    if ('problems' in outcome) return outcome.problems;
    const { decides, next } = outcome;
    if (decides) this.#opened = new Set([...next.tokens.values()].flatMap(({ current }) => current?.id ?? []));
    if (decides || this.#recorded === null) this.#recorded = policy;
    this.#serve(next);
    return [];
  }

  /** The token that opens a declared key now, a secret; null where it issues none or is revoked. */
  token(key: KeyName): string | null {
    const current = this.#live?.specs.get(key)?.issueToken === true ? this.#live.tokens.get(key)?.current : null;
    return current ? openToken(current, this.#deps.rootKey) : null;
  }

  /** The tokens of all declared keys that have one. */
  tokens(): ReadonlyMap<KeyName, string> {
    const tokens = new Map<KeyName, string>();
    for (const key of this.#live?.specs.keys() ?? []) {
      const token = this.token(key);
      if (token !== null) tokens.set(key, token);
    }
    return tokens;
  }

  /** One transaction that only reads; throws before the first policy was adopted. */
  read<T>(work: (tx: Tx, live: LiveState) => T): T {
    const live = this.#adopted();
    return this.#deps.store.transaction((tx) => work(tx, live));
  }

  /** One transaction that changes rows and rebuilds the state; throws before the first policy was adopted. */
  change<T>(work: (tx: Tx, live: LiveState) => Change<T>): T {
    const before = this.#adopted();
    const { value, next } = this.#deps.store.transaction((tx) => {
      // What another process wrote since counts here already: a key that it minted ends with a parent that is revoked.
      const now = tx.keys.revision() === before.rowsRevision ? before : this.#rebuild(tx, before.policy);
      const { value, changed } = work(tx, now);
      return { value, next: changed ? this.#rebuild(tx, before.policy) : now };
    });
    if (next !== before) this.#serve(next);
    return value;
  }

  /** After another process wrote: takes over what it wrote of keys. False where that was nothing. */
  refresh(): boolean {
    const before = this.#live;
    if (before === null) return false;
    this.#recorded = before.policy;
    const next = this.#deps.store.transaction((tx) =>
      tx.keys.revision() === before.rowsRevision ? null : this.#rebuild(tx, before.policy),
    );
    if (next !== null) this.#serve(next);
    return next !== null;
  }

  #adopted(): LiveState {
    if (this.#live === null) throw new Error('no policy was adopted yet');
    return this.#live;
  }

  #nextRevision(): number {
    return (this.#live?.revision ?? 0) + 1;
  }

  #serve(next: LiveState): void {
    this.#live = next;
    this.#deps.onChange();
  }

  /** Begins and ends lives as the policy demands, and records what it changed. */
  #decide(tx: Tx, policy: Policy, continuing: ReadonlySet<KeyName>): void {
    const { record } = this.#deps;
    endLives(tx, continuing, record);
    endTokens(tx, keysWithoutToken(policy), record);
    endOrphans(tx, continuing, record);
    beginLives(tx, policy, { ...this.#deps, isOpened: ({ id }) => this.#opened.has(id) });
    if (this.#recorded !== null) recordEdits(tx, this.#recorded, policy, record);
  }

  #rebuild(tx: Tx, policy: Policy): LiveState {
    // By the store alone: what this process knows of the manifests may lag behind the one that decides.
    endOrphans(tx, new Set(tx.keys.names()), this.#deps.record);
    const compilation = compilePolicy(tx, policy, this.#live, this.#deps);
    const [problem] = compilation.problems;
    // Neither tokens nor sub-agent keys can make an accepted policy wrong.
    if (problem !== undefined) throw new Error(`the policy that is served no longer compiles: ${describeProblem(problem)}`);
    return assembleState(tx, compilation, this.#nextRevision());
  }
}
