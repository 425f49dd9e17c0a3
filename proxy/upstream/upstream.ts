import type { NoneLeft, Picked, Pools } from '../credentials/pool.ts';
import type { Verdict } from '../provider/types.ts';
import { Attempt } from './attempt.ts';
import { dispatch } from './dispatch.ts';
import { type Judged, judge, refuseAll, refuseBusy } from './judge.ts';
import type { Opinions } from './opinions.ts';
import type { Origin, Origins, UpstreamSettings } from './origins.ts';
import type { AttemptFact, Flight, UpstreamAnswer, UpstreamCall, UpstreamOutcome } from './types.ts';

export interface UpstreamDeps {
  readonly origins: Origins;
  readonly pools: Pools;
  readonly settings: UpstreamSettings;
  readonly opinions: Opinions;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

/** Of the retries, for calls that bring them about by their own size: the rest is left for limits that anybody meets. */
const ownFaultPart = 0.5;

/**
 * Makes the only outbound call. If a provider limits or rejects the current credential before the first byte of content, it
 * rotates to another quota scope. It never follows redirects. A provider's outage costs at most the bound of the call.
 */
export function callUpstream(deps: UpstreamDeps, call: UpstreamCall): Flight {
  return new Rotation(deps, call);
}

const nothingTried: ReadonlySet<string> = new Set();

/** One call on its way from credential to credential. */
class Rotation implements Flight {
  readonly answer: Promise<UpstreamAnswer>;
  readonly #deps: UpstreamDeps;
  readonly #call: UpstreamCall;
  readonly #origin: Origin;
  readonly #attempts: AttemptFact[] = [];
  /** Quota scopes that limited the call. */
  #tried: ReadonlySet<string> = nothingTried;
  #current: Attempt | null = null;
  #isStopped = false;
  /** Made when the call has to wait for a slot. */
  #stopping: AbortController | null = null;
  #lastBody: string | undefined;
  /** The answer of a scope that can never take a call of this size. */
  #misfit: UpstreamOutcome | null = null;

  constructor(deps: UpstreamDeps, call: UpstreamCall) {
    this.#deps = deps;
    this.#call = call;
    this.#origin = deps.origins.of(call.pool, call.provider);
    this.answer = this.#run();
  }

  get onDisconnect(): Flight['onDisconnect'] {
    return this.#call.pool.onDisconnect ?? 'Drain';
  }

  async #run(): Promise<UpstreamAnswer> {
    return { ...(await this.#rotate()), attempts: this.#attempts };
  }

  stop(): void {
    this.#isStopped = true;
    this.#stopping?.abort();
    this.#current?.abort('stopped');
  }

  async #rotate(): Promise<UpstreamOutcome> {
    const { pools } = this.#deps;
    const { sharers, pool, affinity } = this.#call;
    const { slots } = this.#origin;
    const stopped = (): AbortSignal => this.#stopSignal();
    let resends = 1;
    let again: Picked | null = null;
    for (;;) {
      const hasSlot = slots.take(sharers, stopped);
      if (hasSlot !== true && !(await hasSlot))
        return this.#isStopped ? { kind: 'stopped' } : { kind: 'refusal', refusal: refuseBusy(this.#call) };
      const picked: Picked | NoneLeft = again ?? pools.pick(pool.pool, limitedAs(this.#call), affinity, this.#tried);
      if (picked.kind === 'none') {
        slots.release(sharers);
        return this.#misfit ?? this.#refuseAll(picked);
      }
      const judged = await this.#attempt(picked);
      if (judged.kind === 'lost' && resends > 0 && (await this.#mayResend(judged.fact))) {
        resends -= 1;
        again = picked;
        continue;
      }
      again = null;
      const end = judged.kind === 'rotate' ? await this.#putAside(picked, judged) : judged.answer;
      if (end !== null) return end;
    }
  }

  /** Sends one attempt in the slot that was taken for it, which the attempt's end gives back. */
  async #attempt(picked: Picked): Promise<Judged> {
    const { clock, pools } = this.#deps;
    const { sharers, pool, onAttemptEnd } = this.#call;
    if (this.#attempts.length === 0) pools.noteCall(pool.pool);
    const attempt = this.#begin(picked, () => this.#origin.slots.release(sharers));
    this.#current = attempt;
    if (this.#isStopped) attempt.abort('stopped');
    const judged = judge(this.#call, await attempt.result, { secret: picked.secret.forms, nowMs: clock() });
    const fact: AttemptFact = { pool: pool.pool, credential: picked.credential, ...judged.fact };
    this.#attempts.push(fact);
    onAttemptEnd?.(fact);
    return judged;
  }

  #begin(picked: Picked, onEnd: () => void): Attempt {
    const { path, query, headers, body, meters, provider, onAttempt } = this.#call;
    try {
      onAttempt?.(picked.credential);
    } catch (error) {
      onEnd();
      throw error;
    }
    const attempt = new Attempt(this.#deps.settings, meters, { firstByteMs: this.#origin.waits.firstByteMs, onEnd });
    const { secret } = picked;
    dispatch({ origin: this.#origin, provider, secret }, { method: 'POST', path: path + query, headers, body }, attempt);
    return attempt;
  }

  /** Applies what a provider said against a credential. Returns how the call ends, or null: another credential is next. */
  async #putAside(picked: Picked, judged: Extract<Judged, { kind: 'rotate' }>): Promise<UpstreamOutcome | null> {
    const { opinions, pools } = this.#deps;
    const { verdict, answer, body } = judged;
    // It was about this request alone.
    if (verdict.kind === 'unauthorized' && !(await opinions.isRejected(this.#call, picked))) return answer;
    pools.report(picked, limitedAs(this.#call), { ...judged, verdict: this.#call.isLimitedApart === true ? ofModel(verdict) : verdict });
    if (verdict.kind !== 'unauthorized') {
      if (verdict.kind === 'misfit') this.#misfit = answer;
      this.#tried = new Set([...this.#tried, picked.quotaScope]);
      this.#lastBody = body ?? this.#lastBody;
    }
    if (!this.#mayRotate(verdict)) return answer.kind === 'answer' && verdict.kind !== 'misfit' ? { ...answer, isLimit: true } : answer;
    // After an error within a stream, ignore the rest.
    this.#current?.abort('stopped');
    return null;
  }

  /** False: another credential could take the call, but the pool has no retry left. */
  #mayRotate({ kind }: Verdict): boolean {
    const { pools } = this.#deps;
    const { pool } = this.#call.pool;
    return !pools.hasUsable(pool, limitedAs(this.#call), this.#tried) || pools.takeRetry(pool, kind === 'misfit' ? ownFaultPart : 1);
  }

  /** What was not sent costs nothing, so its reservation pays for the next attempt. */
  async #mayResend({ outcome }: Pick<AttemptFact, 'outcome'>): Promise<boolean> {
    if (!this.#deps.pools.takeRetry(this.#call.pool.pool)) return false;
    return outcome === 'not_sent' || ((await this.#call.onResend?.()) ?? false);
  }

  #refuseAll(none: NoneLeft): UpstreamOutcome {
    return { kind: 'refusal', refusal: refuseAll(this.#call, { none, lastBody: this.#lastBody, nowMs: this.#deps.clock() }) };
  }

  #stopSignal(): AbortSignal {
    this.#stopping ??= new AbortController();
    if (this.#isStopped) this.#stopping.abort();
    return this.#stopping.signal;
  }
}

/** Under what name a provider's limits hold: those of counting are not those of the model. */
function limitedAs({ model, isLimitedApart }: UpstreamCall): string {
  return isLimitedApart === true ? `counting ${model}` : model;
}

function ofModel(verdict: Verdict): Verdict {
  return verdict.kind === 'cooldown' ? { ...verdict, model: true } : verdict;
}
