import { wireDenial } from '../../core/budget/denial.ts';
import { type KeyName, keyOfStream } from '../../core/names.ts';
import { checkKey } from '../../core/policy/check.ts';
import type { AccountPlan, KeyDocument } from '../../core/policy/documents.ts';
import type { GrantReply, GrantRequest } from '../../core/protocol/money.ts';
import type { Recall } from '../../core/protocol/snapshot.ts';
import type { Batch } from '../store/batch.ts';
import type { Tx } from '../store/types.ts';
import { grant } from './ledger.ts';
import { recallTargets } from './view.ts';

/** How long a request waits for holders to release idle grants. A proxy itself waits 2 s for a grant. */
const recallWaitMs = 300;

/** An answer, and the keys from which to recall idle money, if others hold the rest. */
export interface Attempt<T> {
  readonly answer: T;
  readonly recall: readonly KeyName[];
}

/** Grants money, and recalls idle grants before an exact grant near the end of a budget. */
export interface Funding {
  grant(request: GrantRequest): Promise<GrantReply>;
  /**
   * Runs the attempt. While others hold the rest, it recalls that and retries at each release, for at most 300 ms. It returns
   * the last answer.
   */
  persist<T>(attempt: () => Promise<Attempt<T>>): Promise<T>;
  /** Reports that money was released to the accounts. */
  released(): void;
}

/** The keys that may spend, and the accounts that pay for each. */
interface FundedKeys {
  readonly documents: ReadonlyMap<KeyName, KeyDocument>;
  readonly plans: ReadonlyMap<KeyName, AccountPlan>;
}

interface FundingDeps {
  readonly batch: Batch;
  /** The live state; null before the first policy is adopted. */
  readonly live: () => FundedKeys | null;
  readonly push: (recall: Recall) => void;
}

/** Makes funding over a batch. Its only state is the waiting requests. */
export function createFunding({ batch, live, push }: FundingDeps): Funding {
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

  function attemptGrant(tx: Tx, request: GrantRequest): Attempt<GrantReply> {
    const key = keyOfStream(request.stream);
    const document = live()?.documents.get(key);
    const plan = live()?.plans.get(key);
    if (document === undefined || plan === undefined) return revoked(key, `key ${key} was deleted`);
    const refusal = checkKey(document, tx.now());
    if (refusal !== null) return revoked(key, refusal.message);
    const answer = grant(tx, request, plan);
    if ('grant' in answer) return { answer, recall: [] };
    return { answer: { denial: wireDenial(answer.denial) }, recall: recallTargets(tx, plan, answer.denial) };
  }

  return {
    grant: (request) => persist(() => batch.run((tx) => attemptGrant(tx, request))),
    persist,
    released() {
      releases += 1;
      for (const wake of [...waiters]) wake();
    },
  };
}

function revoked(key: KeyName, message: string): Attempt<GrantReply> {
  return { answer: { denial: { code: 'key_revoked', limitedBy: key, message, availableNano: 0 } }, recall: [] };
}
