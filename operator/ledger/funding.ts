import { type KeyName, keyOfStream } from '../../core/names.ts';
import { checkKey } from '../../core/policy/check.ts';
import type { GrantDenial, GrantReply, GrantRequest } from '../../core/protocol/money.ts';
import type { Recall } from '../../core/protocol/snapshot.ts';
import type { Registry } from '../keys/registry.ts';
import type { Batch } from '../store/batch.ts';
import type { Tx } from '../store/types.ts';
import { grant } from './ledger.ts';
import { recallTargets } from './view.ts';

/** How long an ask waits for holders to give back what they hold idle: a proxy's own wait for a grant is 2 s. */
const recallWaitMs = 300;

/** An answer, and whom to ask for idle money where the answer is that others hold the rest. */
export interface Attempt<T> {
  readonly answer: T;
  readonly recall: readonly KeyName[];
}

/** Money on its way down: grants, and the recall that precedes an exact grant at the end of a budget. */
export interface Funding {
  grant(ask: GrantRequest): Promise<GrantReply>;
  /**
   * Tries; while others hold the rest, asks them for it and tries again each time that something came back, for 300 ms
   * at most. The last answer stands.
   */
  persist<T>(attempt: () => Promise<Attempt<T>>): Promise<T>;
  /** Money came back to the accounts. */
  released(): void;
}

export interface FundingDeps {
  readonly batch: Batch;
  readonly live: Registry['live'];
  readonly push: (recall: Recall) => void;
}

/** Funding over a batch. Holds no state but who waits. */
export function createFunding({ batch, live, push }: FundingDeps): Funding {
  const waiters = new Set<() => void>();
  let releases = 0;

  /** Resolves at the next release after number `seen`, or when the time is over: true where there was one. */
  function releaseAfter(seen: number, waitMs: number): Promise<boolean> {
    if (releases !== seen) return Promise.resolve(true);
    return new Promise((resolve) => {
      const settle = (came: boolean) => {
        clearTimeout(timer);
        waiters.delete(wake);
        resolve(came);
      };
      const wake = () => settle(true);
      const timer = setTimeout(() => settle(false), waitMs);
      waiters.add(wake);
    });
  }

  async function persist<T>(attempt: () => Promise<Attempt<T>>): Promise<T> {
    const deadline = performance.now() + recallWaitMs;
    for (;;) {
      const seen = releases;
      const { answer, recall } = await attempt();
      const leftMs = deadline - performance.now();
      if (recall.length === 0 || leftMs <= 0) return answer;
      push({ kind: 'recall', keys: recall });
      if (!(await releaseAfter(seen, leftMs))) return answer;
    }
  }

  function attemptGrant(tx: Tx, ask: GrantRequest): Attempt<GrantReply> {
    const key = keyOfStream(ask.stream);
    const document = live()?.documents.get(key);
    const plan = live()?.plans.get(key);
    if (document === undefined || plan === undefined) return { answer: { denial: gone(key, `key ${key} was deleted`) }, recall: [] };
    const refusal = checkKey(document, tx.now());
    if (refusal !== null) return { answer: { denial: gone(key, refusal.message) }, recall: [] };
    const answer = grant(tx, ask, plan);
    return { answer, recall: 'denial' in answer ? recallTargets(tx, plan, answer.denial) : [] };
  }

  return {
    grant: (ask) => persist(() => batch.run((tx) => attemptGrant(tx, ask))),
    persist,
    released() {
      releases += 1;
      for (const wake of [...waiters]) wake();
    },
  };
}

function gone(key: KeyName, message: string): GrantDenial {
  return { code: 'key_revoked', limitedBy: key, message, availableNano: 0 };
}
