import { defined } from '../../core/json.ts';
import { formatUsd } from '../../core/money.ts';
import { describePolicy, type PolicyView } from '../../core/policy/describe.ts';
import type { KeyDocument } from '../../core/policy/documents.ts';
import type { ControlPort } from '../../core/protocol/control.ts';
import type { AccountView } from '../../core/protocol/money.ts';

type Account = AccountView['accounts'][number];

/** The answer to `GET /keyforge/v1/self`: all that an agent may know of its own key. Dollars are decimals. */
interface SelfView
  extends Pick<
    PolicyView,
    'key' | 'owner' | 'labels' | 'expiresAt' | 'perRequest' | 'models' | 'endpoints' | 'concurrentCalls' | 'delegation'
  > {
  readonly remainingUsd?: string;
  readonly limits: readonly LimitView[];
}

/** One window of one key on the path. */
interface LimitView extends Pick<Account, 'key' | 'window' | 'requestsUsed' | 'requestsCap'> {
  readonly windowEndsAt?: string;
  readonly capUsd?: string;
  readonly spentUsd: string;
  readonly heldUsd: string;
}

/** Reports a key's policy, and what is spent and left of each limit on its path. */
export async function describeSelf(control: Pick<ControlPort, 'account'>, document: KeyDocument): Promise<SelfView> {
  const { accounts } = await control.account(document.key);
  const { key, owner, labels, expiresAt, perRequest, models, endpoints, concurrentCalls, delegation } = describePolicy(document);
  return {
    key,
    owner,
    labels,
    ...defined({ expiresAt, remainingUsd: remaining(accounts) }),
    limits: accounts.map(limitOf),
    perRequest,
    models,
    ...defined({ endpoints, concurrentCalls, delegation }),
  };
}

function limitOf({ key, window, windowEnd, capNanoUsd, spentNanoUsd, outstandingNanoUsd, requestsUsed, requestsCap }: Account): LimitView {
  return {
    key,
    window,
    ...defined({ windowEndsAt: windowEnd, capUsd: capNanoUsd === undefined ? undefined : usd(capNanoUsd) }),
    spentUsd: usd(spentNanoUsd),
    heldUsd: usd(outstandingNanoUsd),
    requestsUsed,
    ...defined({ requestsCap }),
  };
}

/** The smallest remainder of any capped window on the path; undefined if none is capped. Money held for calls in flight counts as left. */
function remaining(accounts: readonly Account[]): string | undefined {
  const left = accounts.flatMap(({ capNanoUsd, spentNanoUsd, burnedNanoUsd }) =>
    capNanoUsd === undefined ? [] : [Number(capNanoUsd) - Number(spentNanoUsd) - Number(burnedNanoUsd)],
  );
  return left.length === 0 ? undefined : formatUsd(Math.max(0, Math.min(...left)));
}

function usd(nanoText: string): string {
  return formatUsd(Number(nanoText));
}
