import type { Claims } from '../../core/budget/account-limit.ts';
import type { KeyName } from '../../core/names.ts';
import type { GrantReply, GrantRequest } from '../../core/protocol/money.ts';
import { AskQueue, type AskQueueDeps, recallWaitMs } from './ask-queue.ts';

/** An answer, and the keys from which to recall idle money, if others hold the rest. */
export interface Attempt<T> {
  readonly answer: T;
  readonly recall: readonly KeyName[];
}

/** Grants money in one order, and recalls idle grants before an exact grant near the end of a budget. */
export interface Funding {
  /** `signal` withdraws the request. */
  grant(request: GrantRequest, signal?: AbortSignal): Promise<GrantReply>;
  /**
   * Runs the attempt. While others hold the rest, it recalls that and retries at each release, for at most 300 ms. It returns
   * the last answer.
   */
  persist<T>(attempt: () => Promise<Attempt<T>>): Promise<T>;
  /** What requests that wait claim of the accounts. */
  claims(): Claims;
  /** Reports that accounts may have more than before: a release, a settlement, a credit, a raised cap. */
  released(): void;
  close(): void;
}

/** Makes funding over a batch. Its only state is the waiting requests. */
export function createFunding(deps: AskQueueDeps): Funding {
  const queue = new AskQueue(deps);
  const waiters = new Set<() => void>();
  let releases = 0;

  /** Resolves at the next release after number `seen`, or after `waitMs`; true if there was a release. */
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

  return {
    grant: (request, signal) => queue.grant(request, signal),
    async persist(attempt) {
      const deadline = deps.monotonic() + recallWaitMs;
      for (;;) {
        const seen = releases;
        const { answer, recall } = await attempt();
        const leftMs = deadline - deps.monotonic();
        if (recall.length === 0 || leftMs <= 0) return answer;
        deps.push({ kind: 'recall', keys: recall });
        if (!(await releaseAfter(seen, leftMs))) return answer;
      }
    },
    claims: () => queue.claims(),
    released() {
      releases += 1;
      for (const wake of [...waiters]) wake();
      queue.released();
    },
    close: () => queue.close(),
  };
}
