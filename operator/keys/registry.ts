import type { KeyName, TokenId } from '../../core/names.ts';
import { describeProblem, type Problem } from '../../core/problem.ts';
import type { Store, Tx } from '../store/types.ts';
import { recordEdits } from './edits.ts';
import { beginLives, endLives, endOrphans, endTokens, keysWithoutToken, type LifeDeps } from './lifecycle.ts';
import { assembleState, type CompileDeps, compilePolicy, type LiveState, revisionOf } from './live-state.ts';
import type { Policy } from './policy.ts';
import { openToken } from './tokens.ts';

/** The result of a change; `changed` rebuilds the live state and pushes it. */
export interface Change<T> {
  readonly value: T;
  readonly changed: boolean;
}

/** What the registry needs. */
export interface RegistryDeps extends LifeDeps, CompileDeps {
  readonly store: Store;
  /**
   * True if this process decides which declared keys live. At most one process over a store may decide, and it must know every
   * key that was declared when it began to decide. The others serve the lives and tokens in the store.
   */
  readonly decides: () => boolean;
  /** Called in the turn in which a change became durable. */
  readonly onChange: () => void;
}

/** Owns the live state, and the key rows from which it is made. */
export class Registry {
  readonly #deps: RegistryDeps;
  #live: LiveState | null = null;
  /** Current tokens that this process read or made. */
  #opened: ReadonlySet<TokenId> = new Set();
  /** The last policy whose edits this process, or another that decided, has recorded. */
  #recorded: Policy | null = null;

  constructor(deps: RegistryDeps) {
    this.#deps = deps;
  }

  /** The live state; null before the first policy is adopted. */
  live(): LiveState | null {
    return this.#live;
  }

  /** Adopts a policy. If it returns problems, nothing changed and the last good state stays in force. */
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

  /** The current token of a declared key, a secret; null if the key issues none or is revoked. */
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

  /** Runs a transaction that only reads; throws before the first policy is adopted. */
  read<T>(work: (tx: Tx, live: LiveState) => T): T {
    const live = this.#adopted();
    return this.#deps.store.transaction((tx) => work(tx, live));
  }

  /** Runs a transaction that changes rows and rebuilds the state; throws before the first policy is adopted. */
  change<T>(work: (tx: Tx, live: LiveState) => Change<T>): T {
    const before = this.#adopted();
    const { value, next } = this.#deps.store.transaction((tx) => {
      // Read what another process wrote in the meantime: a key that it minted must end with its revoked parent.
      const now = revisionOf(tx) === before.rowsRevision ? before : this.#rebuild(tx, before.policy);
      const { value, changed } = work(tx, now);
      return { value, next: changed ? this.#rebuild(tx, before.policy) : now };
    });
    if (next !== before) this.#serve(next);
    return value;
  }

  /** Reads what another process wrote about keys, and what bills taught. False if nothing changed. */
  refresh(): boolean {
    const before = this.#live;
    if (before === null) return false;
    this.#recorded = before.policy;
    const next = this.#deps.store.transaction((tx) => (revisionOf(tx) === before.rowsRevision ? null : this.#rebuild(tx, before.policy)));
    if (next !== null) this.#serve(next);
    return next !== null;
  }

  #adopted(): LiveState {
    if (this.#live === null) throw new Error('no policy is adopted yet');
    return this.#live;
  }

  #nextRevision(): number {
    return (this.#live?.revision ?? 0) + 1;
  }

  #serve(next: LiveState): void {
    this.#live = next;
    this.#deps.onChange();
  }

  /** Begins and ends lives as the policy requires, and records what it changed. */
  #decide(tx: Tx, policy: Policy, continuing: ReadonlySet<KeyName>): void {
    const { record } = this.#deps;
    endLives(tx, continuing, record);
    endTokens(tx, keysWithoutToken(policy), record);
    endOrphans(tx, continuing, record);
    beginLives(tx, policy, { ...this.#deps, isOpened: ({ id }) => this.#opened.has(id) });
    if (this.#recorded !== null) recordEdits(tx, this.#recorded, policy, record);
  }

  #rebuild(tx: Tx, policy: Policy): LiveState {
    // Use only the store: this process's copy of the manifests may lag behind the one that decides.
    endOrphans(tx, new Set(tx.keys.names()), this.#deps.record);
    const compilation = compilePolicy(tx, policy, this.#live, this.#deps);
    const [problem] = compilation.problems;
    // Neither tokens nor sub-agent keys can invalidate an accepted policy.
    if (problem !== undefined) throw new Error(`the policy in force no longer compiles: ${describeProblem(problem)}`);
    return assembleState(tx, compilation, this.#nextRevision());
  }
}
