import { type Amounts, nothing, plus } from '../../core/budget/account.ts';
import type { Claims } from '../../core/budget/account-limit.ts';
import { type Denial, wireDenial } from '../../core/budget/denial.ts';
import { isFirm, type Place, takesLess, WaitingLine } from '../../core/budget/waiting-line.ts';
import { minOf } from '../../core/money.ts';
import { type KeyName, keyOfStream } from '../../core/names.ts';
import { checkKey } from '../../core/policy/check.ts';
import type { AccountPlan, KeyDocument } from '../../core/policy/documents.ts';
import type { GrantReply, GrantRequest } from '../../core/protocol/money.ts';
import type { Recall } from '../../core/protocol/snapshot.ts';
import type { Batch } from '../store/batch.ts';
import type { Tx } from '../store/types.ts';
import { grant } from './ledger.ts';
import { recallTargets } from './view.ts';

/** How long a request of no call, or of a call over its rate, waits for holders to release idle grants. */
export const recallWaitMs = 300;

/** Limits of what a proxy may demand. A proxy has one request of a stream under way, and for a moment one of a lost connection. */
const maxHoldMs = 120_000;
const maxAsksPerStream = 4;

/** The keys that may spend, and the accounts that pay for each. */
interface FundedKeys {
  readonly documents: ReadonlyMap<KeyName, KeyDocument>;
  readonly plans: ReadonlyMap<KeyName, AccountPlan>;
}

export interface AskQueueDeps {
  readonly batch: Batch;
  /** The live state; null before the first policy is adopted. */
  readonly live: () => FundedKeys | null;
  readonly push: (recall: Recall) => void;
  /** Milliseconds of a monotonic clock. */
  readonly monotonic: () => number;
}

/** A request without an answer. */
interface Ask {
  readonly request: GrantRequest;
  readonly arrivedMs: number;
  readonly reply: PromiseWithResolvers<GrantReply>;
  /** Its first call, then the others. */
  places: readonly CallPlace[];
  /** The last denial of its first call. */
  denial: GrantReply | null;
  withdrawn: boolean;
}

/** One call of a request. */
interface CallPlace extends Place {
  readonly ask: Ask;
  /** The request with the figures of this call. */
  readonly request: GrantRequest;
  /** The accounts that were short for it. */
  readonly shortOf: Set<string>;
  /** When it was last tried: the count of releases, and whether it was firm. Until one of them changes, it need not be tried again. */
  tried: { readonly releases: number; readonly firm: boolean } | null;
  /** When a window ends that is short for it; infinite: none. */
  windowEndsMs: number;
  /** When its request is answered with its denial. */
  untilMs: number;
}

/** The result of one attempt. */
interface Attempt {
  readonly reply: GrantReply;
  readonly recall: readonly KeyName[];
  /** Milliseconds until the first window ends that is short; absent: none does. */
  readonly windowEndsInMs?: number | undefined;
}

type Attempts = ReadonlyMap<CallPlace, Attempt>;

/**
 * The requests of all proxies, in one order. Each pass offers the accounts to all of them in one transaction; every release,
 * settlement, raised cap and new window starts a pass. Only memory: after a crash the proxies send their requests again.
 */
export class AskQueue {
  readonly #deps: AskQueueDeps;
  readonly #line = new WaitingLine<CallPlace>();
  #releases = 0;
  #running = false;
  #again = false;
  #attempting: CallPlace | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(deps: AskQueueDeps) {
    this.#deps = deps;
  }

  /**
   * Answers when a grant is made, the request is denied, its time is over, or `signal` withdraws it. Rejects if a stream has too
   * many requests, because each pass tries them all.
   */
  async grant(request: GrantRequest, signal?: AbortSignal): Promise<GrantReply> {
    const before = [...this.#line].filter((place) => isFirst(place) && place.request.stream === request.stream).length;
    if (before >= maxAsksPerStream) throw new RangeError(`${request.stream} has ${before} requests without an answer`);
    const ask = newAsk(request, this.#deps.monotonic());
    for (const place of ask.places) this.#line.add(place);
    const withdraw = (): void => {
      ask.withdrawn = true;
      this.#wake();
    };
    signal?.addEventListener('abort', withdraw, { once: true });
    this.#wake();
    return ask.reply.promise.finally(() => signal?.removeEventListener('abort', withdraw));
  }

  /** Reports that accounts may have more than before. */
  released(): void {
    this.#releases += 1;
    this.#wake();
  }

  /** What the requests that wait claim against one that is not among them. */
  claims(): Claims {
    const nowMs = this.#deps.monotonic();
    const claims = new LineClaims(this.#line);
    for (const place of this.#line) if (isFirm(place, nowMs)) claims.keep(place);
    return claims.against(null);
  }

  /** What still waits gets no answer: its proxies find the operator away. */
  close(): void {
    clearTimeout(this.#timer);
    for (const place of [...this.#line]) this.#line.remove(place);
  }

  #wake(): void {
    this.#again = true;
    if (!this.#running) void this.#run();
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#again && this.#line.size > 0) {
      this.#again = false;
      await this.#pass();
    }
    this.#running = false;
    this.#schedule();
  }

  async #pass(): Promise<void> {
    this.#endWithdrawn();
    const nowMs = this.#deps.monotonic();
    const releases = this.#releases;
    try {
      const attempts = await this.#deps.batch.run((tx) => this.#attemptAll(tx, nowMs));
      this.#apply(attempts, nowMs, releases);
    } catch (error) {
      // Work that failed changed nothing. One request that cannot be booked must not end all others.
      const failed = this.#attempting === null ? [...this.#line] : [this.#attempting];
      for (const { ask } of failed) this.#leave(ask, () => ask.reply.reject(error));
    }
    this.#endWithdrawn();
  }

  #attemptAll(tx: Tx, nowMs: number): Attempts {
    const attempts = new Map<CallPlace, Attempt>();
    const done = new Set<Ask>();
    const claims = new LineClaims(this.#line);
    this.#line.offer(nowMs, (place, ahead) => {
      if (done.has(place.ask) || place.ask.withdrawn) return 'gone';
      claims.keepFor(ahead);
      if (this.#isKnown(place, nowMs)) return 'waits';
      this.#attempting = place;
      const attempt = this.#attempt(tx, place, claims.against(place), nowMs);
      attempts.set(place, attempt);
      if ('denial' in attempt.reply && holdMs(place, attempt) > 0) {
        claims.note(place);
        return 'waits';
      }
      if ('grant' in attempt.reply || isFirst(place)) done.add(place.ask);
      return 'grant' in attempt.reply ? 'took' : 'gone';
    });
    this.#attempting = null;
    return attempts;
  }

  /** True if nothing has changed since the last attempt. */
  #isKnown(place: CallPlace, nowMs: number): boolean {
    const { tried } = place;
    return tried !== null && tried.releases === this.#releases && tried.firm === isFirm(place, nowMs) && nowMs < place.windowEndsMs;
  }

  #attempt(tx: Tx, place: CallPlace, claims: Claims, nowMs: number): Attempt {
    const { key, ask, request } = place;
    const document = this.#deps.live()?.documents.get(key);
    const plan = this.#deps.live()?.plans.get(key);
    if (document === undefined || plan === undefined) return revoked(key, `key ${key} was deleted`);
    const refusal = checkKey(document, tx.now());
    if (refusal !== null) return revoked(key, refusal.message);
    const acceptsLess = request.wait === undefined || takesLess(place, nowMs);
    const answer = grant(tx, request, plan, { claims, acceptsLess, heldMs: nowMs - ask.arrivedMs });
    if ('grant' in answer) return { reply: answer, recall: [] };
    for (const { accountId } of answer.denial.short) place.shortOf.add(accountId);
    return {
      reply: { denial: wireDenial(answer.denial) },
      recall: recallTargets(tx, plan, answer.denial),
      windowEndsInMs: windowEndsInMs(answer.denial, tx.now()),
    };
  }

  #apply(attempts: Attempts, nowMs: number, releases: number): void {
    for (const [place, attempt] of attempts) {
      const { ask } = place;
      const { reply, windowEndsInMs = Number.POSITIVE_INFINITY } = attempt;
      if ('grant' in reply) {
        this.#line.served(place);
        this.#leave(ask, () => ask.reply.resolve(reply));
        continue;
      }
      if (isFirst(place)) ask.denial = reply;
      place.windowEndsMs = nowMs + windowEndsInMs;
      place.untilMs = ask.arrivedMs + holdMs(place, attempt);
      if (place.untilMs > nowMs) place.tried = { releases, firm: isFirm(place, nowMs) };
      else if (!isFirst(place)) this.#line.remove(place);
    }
    this.#recall(attempts, nowMs);
    for (const place of [...this.#line]) if (isFirst(place) && place.untilMs <= nowMs) this.#deny(place.ask);
  }

  /** What is kept for a firm place must not go round among the calls of its holders. */
  #recall(attempts: Attempts, nowMs: number): void {
    const whole = new Set<KeyName>();
    const idle = new Set<KeyName>();
    for (const [place, { reply, recall }] of attempts) {
      const isReserved = 'denial' in reply && reply.denial.code === 'budget_reserved';
      for (const key of recall) (isReserved && isFirm(place, nowMs) ? whole : idle).add(key);
    }
    if (whole.size > 0) this.#deps.push({ kind: 'recall', keys: [...whole], whole: true });
    const rest = [...idle].filter((key) => !whole.has(key));
    if (rest.length > 0) this.#deps.push({ kind: 'recall', keys: rest });
  }

  #endWithdrawn(): void {
    for (const { ask } of [...this.#line]) if (ask.withdrawn) this.#deny(ask);
  }

  #deny(ask: Ask): void {
    this.#leave(ask, () => ask.reply.resolve(ask.denial ?? withdrawn(ask.request)));
  }

  /** Takes a request out. What was kept for it is there for the others. */
  #leave(ask: Ask, answer: () => void): void {
    for (const place of ask.places) this.#line.remove(place);
    answer();
    if (ask.places.some(({ tried }) => tried?.firm === true)) this.released();
  }

  /** Wakes when a request's time is over, a call has waited half of its time, or a window ends. */
  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#line.size === 0) return;
    const nowMs = this.#deps.monotonic();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const place of this.#line) {
      const halfMs = isFirm(place, nowMs) ? Number.POSITIVE_INFINITY : place.sinceMs + place.maxWaitMs / 2;
      nextMs = Math.min(nextMs, halfMs, place.untilMs, place.windowEndsMs);
    }
    this.#timer = setTimeout(() => this.#wake(), Math.min(Math.max(1, Math.ceil(nextMs - nowMs)), maxTimerMs));
  }
}

const maxTimerMs = 2 ** 31 - 1;

function newAsk(request: GrantRequest, nowMs: number): Ask {
  const ask: Ask = { request, arrivedMs: nowMs, reply: Promise.withResolvers(), places: [], denial: null, withdrawn: false };
  const { wait } = request;
  const key = keyOfStream(request.stream);
  const placeOf = (waitedMs: number, maxWaitMs: number, figures: object): CallPlace => ({
    ...{ key, sinceMs: nowMs - waitedMs, maxWaitMs, ask, request: { ...request, ...figures }, shortOf: new Set<string>(), tried: null },
    ...{ windowEndsMs: Number.POSITIVE_INFINITY, untilMs: Number.POSITIVE_INFINITY },
  });
  const others = wait?.others ?? [];
  ask.places = [
    placeOf(wait?.waitedMs ?? 0, wait?.maxWaitMs ?? Number.POSITIVE_INFINITY, {}),
    ...others.map(({ waitedMs, maxWaitMs, ...figures }) => placeOf(waitedMs, maxWaitMs, figures)),
  ];
  return ask;
}

function isFirst(place: CallPlace): boolean {
  return place.ask.places[0] === place;
}

/** How long after its arrival a denied request is answered. A call over its rate waits only for a recall. */
function holdMs({ request }: CallPlace, { reply, recall }: Attempt): number {
  if (!('denial' in reply)) return 0;
  if (reply.denial.code === 'budget_reserved' && request.wait !== undefined) return Math.min(request.wait.holdMs, maxHoldMs);
  return recall.length > 0 ? recallWaitMs : 0;
}

function windowEndsInMs({ short }: Denial, nowMs: number): number | undefined {
  const endMs = minOf(short.map((limit) => limit.endMs));
  return endMs === undefined ? undefined : Math.max(1, endMs - nowMs);
}

function withdrawn({ stream }: GrantRequest): GrantReply {
  const message = 'the request was withdrawn before the ledger could answer it';
  return { denial: { code: 'budget_reserved', limitedBy: keyOfStream(stream), message, retryAfterSeconds: 1, availableNano: 0 } };
}

function revoked(key: KeyName, message: string): Attempt {
  return { reply: { denial: { code: 'key_revoked', limitedBy: key, message, availableNano: 0 } }, recall: [] };
}

/** Sums of what a line claims, by account. */
class LineClaims {
  readonly #kept = new Map<string, Amounts>();
  readonly #waiting = new Map<string, number>();
  readonly #noted = new Set<CallPlace>();
  #ahead = 0;

  constructor(line: Iterable<CallPlace>) {
    for (const place of line) this.note(place);
  }

  /** Counts the accounts that are short for a request. */
  note(place: CallPlace): void {
    if (this.#noted.has(place) || !isFirst(place) || place.shortOf.size === 0) return;
    this.#noted.add(place);
    for (const id of place.shortOf) this.#waiting.set(id, (this.#waiting.get(id) ?? 0) + 1);
  }

  /** Keeps what the firm places ahead lack; `ahead` only grows. */
  keepFor(ahead: readonly CallPlace[]): void {
    for (const place of ahead.slice(this.#ahead)) this.keep(place);
    this.#ahead = ahead.length;
  }

  keep({ request, shortOf }: CallPlace): void {
    const lacks: Amounts = { nano: request.atLeastNano, requests: request.atLeastRequests, tokens: request.tokens };
    for (const id of shortOf) this.#kept.set(id, plus(this.#kept.get(id) ?? nothing, lacks));
  }

  /** The claims as this place sees them; null: one that does not wait. */
  against(place: CallPlace | null): Claims {
    const first = place?.ask.places[0];
    return {
      kept: (id) => this.#kept.get(id) ?? nothing,
      waiting: (id) => (this.#waiting.get(id) ?? 0) - (first !== undefined && this.#noted.has(first) && first.shortOf.has(id) ? 1 : 0),
    };
  }
}
