import type { NoneLeft, Picked, Pools } from '../credentials/pool.ts';
import { Attempt } from './attempt.ts';
import { judge, refuseAll } from './judge.ts';
import { joinPath, type Origins, type UpstreamSettings } from './origins.ts';
import type { AttemptFact, Flight, UpstreamAnswer, UpstreamCall } from './types.ts';

export interface UpstreamDeps {
  readonly origins: Origins;
  readonly pools: Pools;
  readonly settings: UpstreamSettings;
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
  const start = (picked: Picked): Attempt => {
    current = dispatch(deps, call, picked);
    if (isStopped) current.abort('stopped');
    return current;
  };
  return {
    answer: rotate(deps, call, start),
    onDisconnect: call.pool.onDisconnect ?? 'Drain',
    stop() {
      isStopped = true;
      current?.abort('stopped');
    },
  };
}

async function rotate(deps: UpstreamDeps, call: UpstreamCall, start: (picked: Picked) => Attempt): Promise<UpstreamAnswer> {
  const pool = call.pool.pool;
  const attempts: AttemptFact[] = [];
  const tried = new Set<string>();
  let lastBody: string | undefined;
  let resent = false;
  let again: Picked | null = null;
  for (;;) {
    const picked: Picked | NoneLeft = again ?? deps.pools.pick(pool, call.model, call.affinity, tried);
    if (picked.kind === 'none')
      return { kind: 'refusal', refusal: refuseAll(call, { none: picked, lastBody, nowMs: deps.clock() }), attempts };

    call.onAttempt?.(picked.credential);
    const attempt = start(picked);
    const judged = judge(call, await attempt.result, { secret: picked.secret.reveal(), nowMs: deps.clock() });
    const fact: AttemptFact = { pool, credential: picked.credential, ...judged.fact };
    attempts.push(fact);
    call.onAttemptEnd?.(fact);
    again = judged.kind === 'lost' && !resent && (await mayResend(call, fact)) ? picked : null;
    resent ||= again !== null;
    if (again !== null) continue;
    if (judged.kind !== 'rotate') return { ...judged.answer, attempts };

    // After an error within a stream, ignore the rest.
    attempt.abort('stopped');
    deps.pools.report(picked, call.model, judged);
    if (judged.verdict.kind === 'unauthorized') continue;
    tried.add(picked.quotaScope);
    lastBody = judged.body ?? lastBody;
  }
}

/** What was not sent costs nothing, so its reservation pays for the next attempt. */
async function mayResend(call: UpstreamCall, { outcome }: AttemptFact): Promise<boolean> {
  return outcome === 'not_sent' || ((await call.onResend?.()) ?? false);
}

/** The only place that reveals a credential. Only the pool's document decides where it is sent. */
function dispatch(deps: UpstreamDeps, call: UpstreamCall, picked: Picked): Attempt {
  const { dispatcher, prefix, waits } = deps.origins.of(call.pool, call.provider);
  const { header, prefix: before } = call.provider.authentication;
  const attempt = new Attempt(deps.settings, call.meters, waits.firstByteMs);
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
