import type { KeyName } from '../../core/key.ts';
import type { PoolName, VirtualKeySpec } from '../../core/manifest/types.ts';
import { parseUsd } from '../../core/money.ts';
import type { KeyDocument } from '../../core/policy/documents.ts';
import type { KeyListing, LimitListing } from '../broker/key-desk.ts';
import type { Condition } from '../kube/conditions.ts';
import type { Verdict } from './ladder.ts';
import { type Told, tell } from './reason.ts';

/** What a key has used, as its status shows it. Dollars are decimal strings of the tightest dollar window on the path. */
export interface Spend {
  readonly spent: string;
  /** Absent: no dollar limit on the path. */
  readonly remaining?: string;
  readonly window?: string;
  readonly windowEndsAt?: string;
  readonly requestsUsed?: number;
  readonly activeProxies: number;
}

/** All that the state of a key is told from. */
export interface KeyFacts {
  readonly key: KeyName;
  readonly verdict: Verdict;
  /** What is served, which may be an older version. */
  readonly spec: VirtualKeySpec | undefined;
  readonly document: KeyDocument | null;
  readonly hasToken: boolean;
  readonly secretName: string;
  /** What stands in the way of the token Secret; null: nothing. */
  readonly conflict: string | null;
  readonly isCapped: boolean;
  readonly unserved: ReadonlyMap<PoolName, string>;
  readonly nowMs: number;
}

/** What a condition says, without its times. */
export type Stated = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

/** Spend from a listing; the tightest dollar window first, else the window that counts requests. */
export function spendOf(listing: KeyListing | undefined, activeProxies: number): Spend {
  if (listing === undefined) return { spent: '0.00', activeProxies };
  const tightest = listing.limits.reduce<LimitListing | undefined>((best, limit) => {
    return limit.capUsd !== undefined && (best === undefined || leftOf(limit) < leftOf(best)) ? limit : best;
  }, undefined);
  const own = listing.limits.filter(({ key }) => key === `${listing.namespace}/${listing.name}`);
  const counted = own.find(({ requestsCap }) => requestsCap !== undefined) ?? own[0];
  return {
    spent: tightest?.spentUsd ?? listing.spentUsd,
    ...(listing.remainingUsd !== undefined && { remaining: listing.remainingUsd }),
    ...(tightest !== undefined && { window: tightest.window }),
    ...(tightest?.endsAt !== undefined && { windowEndsAt: tightest.endsAt }),
    ...(counted !== undefined && { requestsUsed: counted.requestsUsed }),
    activeProxies,
  };
}

function leftOf({ capUsd = '0', spentUsd }: LimitListing): number {
  return (parseUsd(capUsd) ?? 0) - (parseUsd(spentUsd) ?? 0);
}

/** The conditions of a key. */
export function keyConditions(facts: KeyFacts): readonly Stated[] {
  const ready = readiness(facts);
  return [{ type: 'Ready', ...ready }, capped(facts)];
}

function readiness(facts: KeyFacts): Omit<Stated, 'type'> {
  const { key, verdict, document, conflict } = facts;
  const told = worst(facts);
  if (told !== null && verdict.serving === 'nothing') return { status: 'False', ...told };
  if (told !== null && verdict.serving === 'lastGood') {
    return { status: 'False', reason: told.reason, message: `${told.message}. Until then its last good version is served` };
  }
  if (facts.spec?.issueToken === false) {
    return { status: 'True', reason: 'BudgetOnly', message: `VirtualKey ${key} issues no token; it holds a budget for the keys below it` };
  }
  if (told !== null && document?.pools.length === 0) return { status: 'False', ...told };
  if (conflict !== null) return { status: 'False', reason: 'SecretConflict', message: conflict };
  const ended = endOf(facts);
  if (ended !== null) return { status: 'False', ...ended };
  if (told !== null) return { status: 'True', reason: told.reason, message: `${told.message}. Its other pools serve` };
  return { status: 'True', reason: 'Served', message: `its token is in Secret ${facts.secretName}, item api-key` };
}

function worst({ verdict, unserved }: KeyFacts): Told | null {
  const [first, ...others] = verdict.problems.map((problem) => tell(problem, unserved));
  if (first === undefined) return null;
  return { reason: first.reason, message: [first, ...others].map(({ message }) => message).join('. ') };
}

function endOf({ key, document, hasToken, nowMs }: KeyFacts): Told | null {
  if (document?.suspendedBy === key) return { reason: 'Suspended', message: 'it is suspended; set spec.suspended to false' };
  if (document?.suspendedBy !== undefined) {
    return { reason: 'Suspended', message: `its ancestor ${document.suspendedBy} is suspended; set spec.suspended to false there` };
  }
  if (document?.expiresAtMs !== undefined && document.expiresAtMs <= nowMs) {
    return {
      reason: 'Expired',
      message: `it expired at ${new Date(document.expiresAtMs).toISOString()}; set a later spec.expiresAt, or delete and create it again`,
    };
  }
  if (!hasToken) {
    return { reason: 'Revoked', message: 'its token was revoked; give the annotation keyforge.dev/rotate a new value to issue another' };
  }
  return null;
}

function capped({ verdict, isCapped }: KeyFacts): Stated {
  const type = 'Capped';
  if (verdict.serving === 'nothing') return { type, status: 'Unknown', reason: 'NotServed', message: 'nothing is served of it' };
  if (isCapped) return { type, status: 'True', reason: 'DollarLimit', message: 'a dollar limit on its path caps it' };
  const message = 'no dollar limit is on its path: it may spend without bound; set usd in spec.limits, here or at an ancestor';
  return { type, status: 'False', reason: 'NoDollarLimit', message };
}
