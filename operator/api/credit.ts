import { accountName } from '../../core/budget/account.ts';
import { defined, isObject } from '../../core/json.ts';
import { formatUsd, parseUsd } from '../../core/money.ts';
import { type KeyName, keyName } from '../../core/names.ts';
import type { CreditedKey, CreditRefusal, KeyCredit, KeyDesk } from '../keys/desk.ts';
import { creditableOf } from '../ledger/credit.ts';
import type { UnmeasuredCharge } from '../ledger/unmeasured.ts';
import { apiError } from './guard.ts';
import { type KeyRoute, unknownKey } from './key-route.ts';
import { isReason } from './reason.ts';

/** The answer: the charges that nobody measured, as they are now. Money is in decimal dollars. */
export interface CreditReply {
  readonly key: KeyName;
  readonly calls: readonly ListedCharge[];
  /** What this request gave back. */
  readonly creditedUsd: string;
  /** What can still be given back now. */
  readonly leftUsd: string;
}

/** A call, or the burned part of a grant. */
export interface ListedCharge extends Pick<UnmeasuredCharge, 'kind' | 'time' | 'requestId' | 'model' | 'pending'> {
  readonly grants: readonly string[];
  /** The windows of the key that were charged, by start; the lifetime has none. */
  readonly windows: readonly { readonly window: string; readonly start?: string }[];
  readonly chargedUsd: string;
  /** What was given back of it so far. */
  readonly creditedUsd: string;
}

interface Order extends Pick<KeyCredit, 'nano' | 'reason'> {
  /** List only; `reason` is then not needed. */
  readonly dryRun: boolean;
}

/** `POST …/credit {"usd", "dryRun", "reason"}`: lists the charges of a key that nobody measured, and gives them back. */
export function creditRoute(desk: KeyDesk, actor: string): KeyRoute {
  return ({ params, body }, response) => {
    const key = keyName(params.namespace, params.name);
    const order = readOrder(body);
    if (typeof order === 'string') {
      response.status(400).json(apiError('invalid_request', order));
      return;
    }
    const { dryRun, ...rest } = order;
    const outcome = dryRun ? preview(desk, key, order) : desk.credit({ key, actor, ...rest });
    if (typeof outcome === 'object' && 'creditedNano' in outcome) response.json(replyOf(key, outcome));
    else response.status(outcome === 'unknown' ? 404 : 409).json(refusalOf(key, order, outcome));
  };
}

function preview(desk: KeyDesk, key: KeyName, { nano = 0 }: Order): CreditedKey | CreditRefusal {
  const charges = desk.unmeasured(key);
  if (charges === null) return 'unknown';
  const creditableNano = creditableOf(charges);
  return nano > creditableNano ? { creditableNano } : { creditedNano: 0, charges };
}

const members = ['usd', 'dryRun', 'reason'];

/** A text says what is wrong. */
function readOrder(body: unknown): Order | string {
  if (!isObject(body)) return 'send a JSON object such as {"reason": "the provider billed nothing"} as application/json';
  const { usd, dryRun = false, reason } = body;
  const unknown = Object.keys(body).find((name) => !members.includes(name));
  if (unknown !== undefined) return `${unknown} is not a member of a credit: ${members.join(', ')}`;
  if (typeof dryRun !== 'boolean') return 'dryRun must be true or false';
  const nano = typeof usd === 'string' ? parseUsd(usd) : undefined;
  if (usd !== undefined && !nano) return 'usd must be an amount above 0 as a string, such as "0.50"';
  if (isReason(reason) || (dryRun && reason === undefined))
    return { dryRun, reason: reason ?? '', ...defined({ nano: nano ?? undefined }) };
  return 'reason is missing: say in at most 500 characters, on one line, why the money is given back';
}

function refusalOf(key: KeyName, { nano }: Order, refusal: CreditRefusal) {
  if (refusal === 'unknown') return unknownKey(key);
  const { creditableNano } = refusal;
  if (nano === undefined || creditableNano === 0) {
    return apiError('conflict', `nothing can be credited to ${key} now; with dryRun this request lists its charges without a measurement`);
  }
  return apiError('conflict', `$${formatUsd(creditableNano)} can be credited to ${key} now, not $${formatUsd(nano)}`);
}

function replyOf(key: KeyName, { charges, creditedNano }: CreditedKey): CreditReply {
  return { key, calls: charges.map(listed), creditedUsd: formatUsd(creditedNano), leftUsd: formatUsd(creditableOf(charges)) };
}

function listed({ kind, time, requestId, model, parts, pending }: UnmeasuredCharge): ListedCharge {
  const sum = (of: 'chargedNano' | 'creditedNano'): string => formatUsd(parts.reduce((all, part) => all + part[of], 0));
  return {
    kind,
    time,
    ...defined({ requestId, model, pending }),
    grants: parts.map(({ grant }) => grant.id),
    windows: windowsOf(parts),
    chargedUsd: sum('chargedNano'),
    creditedUsd: sum('creditedNano'),
  };
}

function windowsOf(parts: UnmeasuredCharge['parts']): ListedCharge['windows'] {
  const accounts = new Set(parts.flatMap(({ grant }) => grant.accounts.filter((id) => accountName(id).key === grant.key)));
  return [...accounts]
    .map(accountName)
    .filter(({ window }) => window !== 'Minute')
    .map(({ window, startMs }) => (window === 'Total' ? { window } : { window, start: new Date(startMs).toISOString() }));
}
