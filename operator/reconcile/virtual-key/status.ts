import type { VirtualKeySpec } from '../../../core/manifest/types.ts';
import type { KeyName, PoolName } from '../../../core/names.ts';
import type { KeyDocument } from '../../../core/policy/documents.ts';
import type { KeyListing } from '../../keys/desk.ts';
import type { Condition } from '../../kube/conditions.ts';
import type { Verdict } from '../policy/fallback.ts';
import { type Told, tell } from '../reasons.ts';

/** What a key has used, as its status shows it: all of one window, with `spent` and `remaining` as decimal dollars. */
export interface Spend {
  readonly spent: string;
  /** Absent: no dollar limit on the path. */
  readonly remaining?: string;
  readonly window?: string;
  readonly windowEndsAt?: string;
  readonly requestsUsed?: number;
  readonly activeProxies: number;
}

/** When a key ends. */
export interface End {
  readonly atMs: number;
  /** The ancestor whose end that is; absent where it is the key's own. */
  readonly by?: KeyName;
}

/** All that the state of a key is told from. */
export interface KeyFacts {
  readonly key: KeyName;
  readonly verdict: Verdict;
  /** What is served, which may be an older version. */
  readonly spec: VirtualKeySpec | undefined;
  readonly document: KeyDocument | null;
  /** From the root to the key itself, as they are served. */
  readonly path: readonly { readonly key: KeyName; readonly spec: VirtualKeySpec }[];
  /** Null: never. */
  readonly end: End | null;
  readonly hasToken: boolean;
  readonly secretName: string;
  /** What stands in the way of the token Secret; null: nothing. */
  readonly obstacle: Told | null;
  readonly isCapped: boolean;
  readonly unserved: ReadonlyMap<PoolName, string>;
  readonly nowMs: number;
}

/** What a condition says, without its times. */
export type Stated = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

/** Spend from a listing: of the dollar window with the least left, else of the key's own window that counts requests. */
export function spendOf(listing: KeyListing | undefined, activeProxies: number): Spend {
  if (listing === undefined) return { spent: '0.00', activeProxies };
  const { namespace, name, limits, spentUsd, remainingUsd } = listing;
  const tightest = limits.find((limit) => limit.remainingUsd !== undefined && limit.remainingUsd === remainingUsd);
  const shown = tightest ?? limits.find(({ key }) => key === `${namespace}/${name}`);
  return {
    spent: shown?.spentUsd ?? spentUsd,
    ...(remainingUsd !== undefined && { remaining: remainingUsd }),
    ...(shown !== undefined && { window: shown.window, requestsUsed: shown.requestsUsed }),
    ...(shown?.endsAt !== undefined && { windowEndsAt: shown.endsAt }),
    activeProxies,
  };
}

/** When a listed key ends; null: never. */
export function endOf(listing: KeyListing | undefined): End | null {
  if (listing?.expiresAt === undefined) return null;
  return { atMs: Date.parse(listing.expiresAt), ...(listing.expiresBy !== undefined && { by: listing.expiresBy }) };
}

/** The conditions of a key. */
export function keyConditions(facts: KeyFacts): readonly Stated[] {
  const ready = readiness(facts);
  return [{ type: 'Ready', ...ready }, capped(facts)];
}

function readiness(facts: KeyFacts): Omit<Stated, 'type'> {
  const { key, spec, verdict, document, obstacle } = facts;
  const told = worst(facts);
  const ended = endedBy(facts);
  if (told !== null && verdict.serving === 'nothing') return { status: 'False', ...told };
  if (told !== null && verdict.serving === 'lastGood') {
    const meanwhile =
      ended === null ? 'Until then its last good version is served' : `Its last good version is not served either: ${ended.message}`;
    return { status: 'False', reason: told.reason, message: `${told.message}. ${meanwhile}` };
  }
  if (told !== null && document?.pools.length === 0) return { status: 'False', ...told };
  if (obstacle !== null) return { status: 'False', ...obstacle };
  if (ended !== null) return { status: 'False', ...ended };
  if (spec?.issueToken === false) {
    return { status: 'True', reason: 'BudgetOnly', message: `VirtualKey ${key} issues no token; it holds a budget for the keys below it` };
  }
  if (told !== null) return { status: 'True', reason: told.reason, message: `${told.message}. Its other pools serve` };
  return { status: 'True', reason: 'Served', message: `its token is in Secret ${facts.secretName}, item api-key` };
}

function worst({ verdict, unserved }: KeyFacts): Told | null {
  const [first, ...others] = verdict.problems.map((problem) => tell(problem, unserved));
  if (first === undefined) return null;
  return { reason: first.reason, message: [first, ...others].map(({ message }) => message).join('. ') };
}

/** Why nobody can call with what is served of a key; null: somebody can. */
function endedBy({ key, spec, path, end, hasToken, nowMs }: KeyFacts): Told | null {
  const suspended = path.findLast(({ spec }) => spec.suspended)?.key;
  if (suspended === key) return { reason: 'Suspended', message: 'it is suspended; set spec.suspended to false' };
  if (suspended !== undefined) {
    return { reason: 'Suspended', message: `its ancestor ${suspended} is suspended; set spec.suspended to false there` };
  }
  if (end !== null && end.atMs <= nowMs) {
    const [what, where] = end.by === undefined ? ['it', ''] : [`its ancestor ${end.by}`, ' there'];
    const message = `${what} expired at ${new Date(end.atMs).toISOString()}; set a later spec.expiresAt${where}, or delete and create it again`;
    return { reason: 'Expired', message };
  }
  if (spec?.issueToken === true && !hasToken) {
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
