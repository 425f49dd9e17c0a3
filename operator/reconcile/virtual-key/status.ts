import type { VirtualKeySpec } from '../../../core/manifest/types.ts';
import type { KeyName } from '../../../core/names.ts';
import type { KeyDocument } from '../../../core/policy/documents.ts';
import type { LimitListing } from '../../keys/listing.ts';
import { type ConditionPolicy, type ConditionState, firstOf, type NewCondition } from '../conditions.ts';
import type { Verdict } from '../policy/fallback.ts';
import { type Explanation, explain } from '../reasons.ts';
import type { End } from './spend.ts';

/** The facts from which the conditions of a key follow. */
export interface KeyFacts {
  readonly key: KeyName;
  readonly verdict: Verdict;
  /** The version in force, which may be older than the declared one. */
  readonly spec: VirtualKeySpec | undefined;
  readonly document: KeyDocument | null;
  /** From the root to the key itself, in the versions in force. */
  readonly path: readonly { readonly key: KeyName; readonly spec: VirtualKeySpec }[];
  /** Null: never. */
  readonly end: End | null;
  readonly hasToken: boolean;
  readonly secretName: string;
  /** Why the token Secret cannot be written; null: it can. */
  readonly obstacle: Explanation | null;
  readonly isCapped: boolean;
  /** The limit on its path of which most is used, from 80 % on; null: there is none. */
  readonly near: LimitListing | null;
  readonly nowMs: number;
}

/** The conditions of a key. */
export function keyConditions(facts: KeyFacts): readonly NewCondition[] {
  const judged = { ...facts, problem: problemOf(facts) };
  return [
    { type: 'Ready', ...(firstOf(readyChain, judged) ?? served(facts)) },
    { type: 'Capped', ...(firstOf(cappedChain, facts) ?? uncapped) },
    { type: 'NearLimit', ...(firstOf(nearChain, facts) ?? enoughLeft) },
  ];
}

interface JudgedFacts extends KeyFacts {
  /** The reason of the first problem with the messages of all; null: there are none. */
  readonly problem: Explanation | null;
}

function problemOf({ verdict }: KeyFacts): Explanation | null {
  const [first, ...others] = verdict.problems.map((problem) => explain(problem));
  return first === undefined ? null : { reason: first.reason, message: [first, ...others].map(({ message }) => message).join('. ') };
}

const notServed: ConditionPolicy<JudgedFacts> = ({ problem, verdict }) =>
  problem !== null && verdict.serving === 'nothing' ? { status: 'False', ...problem } : null;

const servedAsLastGood: ConditionPolicy<JudgedFacts> = (facts) => {
  const { problem, verdict } = facts;
  if (problem === null || verdict.serving !== 'lastGood') return null;
  const ended = firstOf(endedChain, facts);
  const meanwhile =
    ended === null ? 'Until then its last good version stays in force' : `Its last good version is not served either: ${ended.message}`;
  return { status: 'False', reason: problem.reason, message: `${problem.message}. ${meanwhile}` };
};

const leftWithoutPools: ConditionPolicy<JudgedFacts> = ({ problem, document }) =>
  problem !== null && document?.pools.length === 0 ? { status: 'False', ...problem } : null;

const secretObstructed: ConditionPolicy<KeyFacts> = ({ obstacle }) => (obstacle === null ? null : { status: 'False', ...obstacle });

const suspended: ConditionPolicy<KeyFacts> = ({ key, path }) => {
  const by = path.findLast(({ spec }) => spec.suspended)?.key;
  if (by === undefined) return null;
  const message =
    by === key ? 'it is suspended; set spec.suspended to false' : `its ancestor ${by} is suspended; set spec.suspended to false there`;
  return { status: 'False', reason: 'Suspended', message };
};

const expired: ConditionPolicy<KeyFacts> = ({ end, nowMs }) => {
  if (end === null || end.atMs > nowMs) return null;
  const [what, where] = end.by === undefined ? ['it', ''] : [`its ancestor ${end.by}`, ' there'];
  const message = `${what} expired at ${new Date(end.atMs).toISOString()}; set a later spec.expiresAt${where}, or delete and create it again`;
  return { status: 'False', reason: 'Expired', message };
};

const revoked: ConditionPolicy<KeyFacts> = ({ spec, hasToken }) => {
  if (spec?.issueToken !== true || hasToken) return null;
  const message = 'its token was revoked; give the annotation keyforge.dev/rotate a new value to issue another';
  return { status: 'False', reason: 'Revoked', message };
};

const budgetOnly: ConditionPolicy<KeyFacts> = ({ key, spec }) => {
  if (spec?.issueToken !== false) return null;
  const message = `VirtualKey ${key} issues no token; it only limits the keys below it`;
  return { status: 'True', reason: 'BudgetOnly', message };
};

const servedInPart: ConditionPolicy<JudgedFacts> = ({ problem }) =>
  problem === null ? null : { status: 'True', reason: problem.reason, message: `${problem.message}. The key still uses its other pools` };

function served({ secretName }: KeyFacts): ConditionState {
  return { status: 'True', reason: 'Served', message: `its token is in Secret ${secretName}, item api-key` };
}

/** Why the version in force permits no calls. A suspension comes first, because a later expiry would change nothing. */
const endedChain: readonly ConditionPolicy<KeyFacts>[] = [suspended, expired, revoked];

/**
 * Ready, by the first policy that applies. Problems of the declared version come first: until they are fixed, the rest is about
 * an older version. An unwritable Secret comes before an expiry, because it may still hold the token. Partial service comes last.
 */
const readyChain: readonly ConditionPolicy<JudgedFacts>[] = [
  notServed,
  servedAsLastGood,
  leftWithoutPools,
  secretObstructed,
  ...endedChain,
  budgetOnly,
  servedInPart,
];

function withoutVersion({ verdict }: KeyFacts): ConditionState | null {
  return verdict.serving === 'nothing' ? { status: 'Unknown', reason: 'NotServed', message: 'no version of it is served' } : null;
}

/** Capped, by the first policy that applies. */
const cappedChain: readonly ConditionPolicy<KeyFacts>[] = [
  withoutVersion,
  ({ isCapped }) => (isCapped ? { status: 'True', reason: 'DollarLimit', message: 'a dollar limit on its path caps its spend' } : null),
];

const uncapped: ConditionState = {
  status: 'False',
  reason: 'NoDollarLimit',
  message: 'its path has no dollar limit, so its spend is unlimited; set usd in spec.limits, here or at an ancestor',
};

/** Its own limit and an ancestor's have different reasons, because only the owner of a limit needs an event. */
export const ownLimitNear = 'LimitNear';

/** NearLimit, by the first policy that applies. */
const nearChain: readonly ConditionPolicy<KeyFacts>[] = [
  withoutVersion,
  ({ key, near }) => {
    if (near === null) return null;
    const isOwn = near.key === key;
    const ends = near.endsAt === undefined ? '' : `. It ends at ${near.endsAt}`;
    const message = `at least 80 % of the ${near.window} limit of ${near.key} is used${ends}; raise it in spec.limits${isOwn ? '' : ' there'}, or expect refusals`;
    return { status: 'True', reason: isOwn ? ownLimitNear : 'AncestorLimitNear', message };
  },
];

const enoughLeft: ConditionState = {
  status: 'False',
  reason: 'EnoughLeft',
  message: 'less than 80 % of each limit on its path is used',
};
