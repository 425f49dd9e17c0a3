import type { NoneLeft, Picked, Pools } from '../credentials/pool.ts';
import type { Verdict } from '../provider/types.ts';
import { Attempt } from './attempt.ts';
import { judge, refuseAll, refuseBusy } from './judge.ts';
import type { Opinions } from './opinions.ts';
import { joinPath, type Origins, type UpstreamSettings } from './origins.ts';
import type { Slots } from './slots.ts';
import type { AttemptFact, Flight, UpstreamAnswer, UpstreamCall, UpstreamOutcome } from './types.ts';

export interface UpstreamDeps {
  readonly origins: Origins;
  readonly pools: Pools;
  readonly settings: UpstreamSettings;
  readonly opinions: Opinions;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

/**
 * Makes the only outbound call. If a provider limits or rejects the current credential before the first byte of content, it
 * rotates to another quota scope. It never follows redirects. A provider's outage costs at most the bound of the call.
 */
export function callUpstream(deps: UpstreamDeps, call: UpstreamCall): Flight {
  let current: Attempt | null = null;
  let isStopped = false;
  let stopping: AbortController | null = null;
  const start = (picked: Picked): Attempt => {
    call.onAttempt?.(picked.credential);
    current = dispatch(deps, call, picked);
    if (isStopped) current.abort('stopped');
    return current;
  };
  const stopped = (): AbortSignal => {
    stopping ??= new AbortController();
    if (isStopped) stopping.abort();
    return stopping.signal;
  };
  return {
    answer: rotate(deps, call, { start, stopped }),
    onDisconnect: call.pool.onDisconnect ?? 'Drain',
    stop() {
      isStopped = true;
      stopping?.abort();
      current?.abort('stopped');
    },
  };
}

interface Flying {
  start(picked: Picked): Attempt;
  /** Aborted once the flight is stopped. */
  stopped(): AbortSignal;
}

async function rotate(deps: UpstreamDeps, call: UpstreamCall, { start, stopped }: Flying): Promise<UpstreamAnswer> {
  const pool = call.pool.pool;
  const { slots } = deps.origins.of(call.pool, call.provider);
  const attempts: AttemptFact[] = [];
  const tried = new Set<string>();
  let lastBody: string | undefined;
  let misfit: UpstreamOutcome | null = null;
  let resent = false;
  let again: Picked | null = null;
  for (;;) {
    const hasSlot = slots.take(call.key, stopped);
    if (hasSlot !== true && !(await hasSlot)) {
      if (stopped().aborted) return { kind: 'stopped', attempts };
      return { kind: 'refusal', refusal: refuseBusy(call), attempts };
    }
    const picked: Picked | NoneLeft = again ?? deps.pools.pick(pool, limitedAs(call), call.affinity, tried);
    if (picked.kind === 'none') {
      slots.release(call.key);
      if (misfit !== null) return { ...misfit, attempts };
      return { kind: 'refusal', refusal: refuseAll(call, { none: picked, lastBody, nowMs: deps.clock() }), attempts };
    }
    const attempt = sendIn(slots, call, () => start(picked));
    const judged = judge(call, await attempt.result, { secret: picked.secret.forms, nowMs: deps.clock() });
    const fact: AttemptFact = { pool, credential: picked.credential, ...judged.fact };
    attempts.push(fact);
    call.onAttemptEnd?.(fact);
    again = judged.kind === 'lost' && !resent && (await mayResend(call, fact)) ? picked : null;
    resent ||= again !== null;
    if (again !== null) continue;
    if (judged.kind !== 'rotate') return { ...judged.answer, attempts };

    // After an error within a stream, ignore the rest.
    attempt.abort('stopped');
    const { verdict } = judged;
    if (verdict.kind === 'unauthorized' && !(await deps.opinions.isRejected(call, picked))) return { ...judged.answer, attempts };
    deps.pools.report(picked, limitedAs(call), { ...judged, verdict: call.isLimitedApart === true ? ofModel(verdict) : verdict });
    if (verdict.kind === 'unauthorized') continue;
    if (verdict.kind === 'misfit') misfit = judged.answer;
    tried.add(picked.quotaScope);
    lastBody = judged.body ?? lastBody;
  }
}

/** Under what name a provider's limits hold: those of counting are not those of the model. */
function limitedAs({ model, isLimitedApart }: UpstreamCall): string {
  return isLimitedApart === true ? `counting ${model}` : model;
}

function ofModel(verdict: Verdict): Verdict {
  return verdict.kind === 'cooldown' ? { ...verdict, model: true } : verdict;
}

/** Sends an attempt in a slot that was taken for it, which its end gives back. */
function sendIn(slots: Slots, call: UpstreamCall, start: () => Attempt): Attempt {
  try {
    return start();
  } catch (error) {
    slots.release(call.key);
    throw error;
  }
}

/** What was not sent costs nothing, so its reservation pays for the next attempt. */
async function mayResend(call: UpstreamCall, { outcome }: AttemptFact): Promise<boolean> {
  return outcome === 'not_sent' || ((await call.onResend?.()) ?? false);
}

/** The only place that reveals a credential. Only the pool's document decides where it is sent. */
function dispatch(deps: UpstreamDeps, call: UpstreamCall, picked: Picked): Attempt {
  const { dispatcher, prefix, waits, slots } = deps.origins.of(call.pool, call.provider);
  const { header, prefix: before } = call.provider.authentication;
  const attempt = new Attempt(deps.settings, call.meters, { firstByteMs: waits.firstByteMs, onEnd: () => slots.release(call.key) });
  dispatcher.dispatch(
    {
      method: 'POST',
      path: joinPath(prefix, call.path) + call.query,
      headers: [...call.headers, header, before + picked.secret.reveal()],
      body: call.body,
      bodyTimeout: waits.idleMs,
    },
    attempt,
  );
  return attempt;
}
