import type { KubeClient } from '../kube/types.ts';

/** One term of leadership. */
export interface Term {
  /** Aborted when it ends. */
  readonly signal: AbortSignal;
  /** Call this once the caches hold every key that was declared at the start of the term. */
  inform(): void;
}

/** The work of a leader. A promise that it returns settles after `signal` is aborted and the last write has ended. */
type TermWork = (term: Term) => void | Promise<void>;

/** The leadership of this replica. It is made first and passed to everything that writes. */
export interface Leadership {
  /** True only while this replica certainly leads; check right before each write. */
  leads(): boolean;
  /** True while this replica leads and knows every key that was declared when its term began. It then decides which keys live. */
  decides(): boolean;
  /** Registers `work` for each term from the next on, in order of registration. */
  onTerm(work: TermWork): void;
  /** Leads until `signal` is aborted; settles when all work has ended. `holdsLease` is checked with each `leads`. */
  lead(signal: AbortSignal, holdsLease: () => boolean): Promise<void>;
}

/** Makes the leadership of a replica that does not lead yet. */
export function createLeadership(): Leadership {
  return new ReplicaLeadership();
}

class ReplicaLeadership implements Leadership {
  readonly #works: TermWork[] = [];
  #holdsLease: (() => boolean) | null = null;
  #isInformed = false;

  readonly leads = (): boolean => this.#holdsLease?.() === true;
  readonly decides = (): boolean => this.#isInformed && this.leads();

  onTerm(work: TermWork): void {
    this.#works.push(work);
  }

  async lead(signal: AbortSignal, holdsLease: () => boolean): Promise<void> {
    this.#holdsLease = holdsLease;
    this.#isInformed = false;
    signal.addEventListener('abort', () => {
      this.#holdsLease = null;
    });
    const inform = (): void => {
      if (!signal.aborted) this.#isInformed = true;
    };
    await Promise.all(this.#works.map((work) => work({ signal, inform })));
  }
}

/** Makes a client that refuses writes while this replica does not lead. It checks before each write, because a Lease can end at any time. */
export function leadOnly(client: KubeClient, { leads }: Pick<Leadership, 'leads'>): KubeClient {
  const guarded =
    <A extends readonly unknown[], R>(write: (...given: A) => Promise<R>): ((...given: A) => Promise<R>) =>
    async (...given) => {
      if (!leads()) throw new NotLeading('this replica does not lead; the leader will write');
      return write(...given);
    };
  return {
    ...client,
    create: guarded(client.create),
    replace: guarded(client.replace),
    apply: guarded(client.apply),
    patch: guarded(client.patch),
    remove: guarded(client.remove),
  };
}

class NotLeading extends Error {
  override readonly name = 'NotLeading';
}
