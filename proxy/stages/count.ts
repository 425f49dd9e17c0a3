import { hash } from 'node:crypto';
import { parseJson } from '../../core/json.ts';
import type { NanoUsd } from '../../core/money.ts';
import type { KeyDocument } from '../../core/policy/documents.ts';
import { upperBound } from '../../core/price/bound.ts';
import { type Demand, withCount } from '../../core/price/demand.ts';
import { counters } from '../dialect/counters.ts';
import type { JsonBody } from '../dialect/json.ts';
import type { Dialect } from '../dialect/types.ts';
import type { Levels } from '../money/quote.ts';
import type { TokenCounts } from '../money/token-counts.ts';
import type { CountingPoint } from '../provider/types.ts';
import { ask as askProvider } from '../upstream/ask.ts';
import type { AttemptFact } from '../upstream/types.ts';
import type { UpstreamDeps } from '../upstream/upstream.ts';
import type { Reachable } from './send.ts';

/** No tokenizer packs more bytes into a token on average: if even this does not fit, no count will. */
const mostBytesPerToken = 16;
/** A count that saves less than this share of what the call prefers is not worth a round trip, unless the call is refused without it. */
const worthwhileShare = 8;
/** A call waits for its count. */
const countTimeoutMs = 2000;

interface Question {
  readonly candidate: Reachable;
  readonly dialect: Dialect;
  readonly demand: Demand;
  /** The lowest output limit with which the call is useful. */
  readonly floor: number;
  /** What the call needs by its bytes. */
  readonly needed: Levels;
  readonly fundsNano: NanoUsd;
}

/** Where the candidate's provider counts requests of this dialect; null: it does not, or its pool does not say so. */
function pointOf({ provider, pool }: Reachable, dialect: Dialect): CountingPoint | null {
  const point = provider.counting?.[dialect.id];
  if (point === undefined || counters[dialect.id] === undefined) return null;
  return provider.isLenient === true && pool.countable !== true ? null : point;
}

/** True if everything that the input is billed for is in a count, at the price of text. */
function isCovered({ candidate, dialect, demand }: Question): boolean {
  const modalities = new Set([...Object.keys(demand.media), ...(demand.pictures.length > 0 ? ['image'] : [])]);
  const covered = counters[dialect.id]?.modalities ?? [];
  const { rates, tiers } = candidate.price ?? { rates: undefined, tiers: [] };
  const likeText = [...(rates === undefined ? [] : [rates]), ...tiers.map((tier) => tier.rates)].every(
    (each) => each.inputImage === each.input,
  );
  return (
    demand.stored === undefined &&
    demand.inputReads === 1 &&
    [...modalities].every((name) => name === 'image' && covered.includes('image') && likeText)
  );
}

/** True if the provider's count could make a call fit that its bytes do not let fit. Pure. */
export function isWorthCounting(question: Question): boolean {
  const { candidate, dialect, demand, floor, needed, fundsNano } = question;
  if (candidate.price === null || pointOf(candidate, dialect) === null || !isCovered(question)) return false;
  const tokens = Math.ceil(demand.textTokens / mostBytesPerToken);
  const least = upperBound(candidate.price, countedDemand(demand, tokens), { ...candidate.overhead, tokens: {} }, floor);
  if (typeof least !== 'number' || least > fundsNano) return false;
  return needed.atLeastNano > fundsNano || (needed.atLeastNano - least) * worthwhileShare >= needed.preferredNano;
}

/** The demand with a count, already widened by its margin, in place of what bytes bound. A count above the bytes' bound is not used. */
export function countedDemand(demand: Demand, tokens: number): Demand {
  return withCount(demand, demand.pictures.length > 0 ? tokens : Math.min(tokens, demand.textTokens));
}

interface CountDeps {
  readonly upstream: UpstreamDeps;
  readonly tokenCounts: TokenCounts;
}

/** The call whose input is counted. */
interface CountedCall {
  /** Receives the attempt, for the entry. */
  noteCount(attempt: AttemptFact): void;
}

interface CountInput {
  readonly candidate: Reachable;
  readonly dialect: Dialect;
  readonly body: JsonBody;
  /** Chooses the credential. */
  readonly affinity: string;
  readonly call: CountedCall;
  /** Of the caller. */
  readonly document: KeyDocument;
  /** From `headersForProvider`. */
  readonly headers: readonly string[];
}

/**
 * Has the provider count the input of a call: once a body, with the credential that the call will use. Its answer bounds the
 * bill with the provider's margin. Null: it gave none. A counter's failure means nothing else, in particular no cooldown.
 */
export async function count(deps: CountDeps, input: CountInput): Promise<number | null> {
  const { candidate, dialect, body } = input;
  const point = pointOf(candidate, dialect);
  const bytes = counters[dialect.id]?.request(body, candidate.upstreamModel) ?? null;
  if (point === null || bytes === null) return null;
  const id = `${candidate.pool.pool} ${point.path} ${hash('sha256', bytes)}`;
  const known = deps.tokenCounts.recall(id);
  const counted = known === undefined ? await ask(deps, input, { point, bytes }) : known;
  if (known === undefined && counted !== undefined) deps.tokenCounts.remember(id, counted);
  if (counted === null || counted === undefined) return null;
  return Math.ceil((counted * point.margin.percent) / 100) + point.margin.tokens;
}

/** Undefined: the counter was not asked. */
async function ask(
  { upstream, tokenCounts }: CountDeps,
  { candidate, dialect, call, document, headers, affinity }: CountInput,
  { point, bytes }: { readonly point: CountingPoint; readonly bytes: Buffer },
): Promise<number | null | undefined> {
  const { provider, pool, upstreamModel } = candidate;
  const path = point.path.replace('{model}', () => encodeURIComponent(upstreamModel));
  const picked = upstream.pools.pick(pool.pool, upstreamModel, affinity, new Set());
  if (picked.kind === 'none' || !tokenCounts.take(document, `${pool.pool} ${picked.credential}`)) return undefined;
  const { credential, secret } = picked;
  const question = { provider, pool, secret, path, headers, body: bytes, timeoutMs: countTimeoutMs };
  // Whatever becomes of it, the credential stays as usable as it was.
  const reply = await askProvider(upstream, { ...question, method: 'POST' });
  call.noteCount({
    pool: pool.pool,
    credential,
    outcome: 'refused',
    purpose: 'count',
    ...(reply === null ? {} : { status: reply.status }),
  });
  if (reply === null || reply.body === null || reply.status !== 200) return null;
  const tokens = counters[dialect.id]?.read(parseJson(reply.body.toString('utf8'))) ?? null;
  return tokens !== null && Number.isSafeInteger(tokens) && tokens >= 0 ? tokens : null;
}
