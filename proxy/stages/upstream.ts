import type { Refusal } from '../../core/errors.ts';
import type { PoolName } from '../../core/manifest/types.ts';
import type { PoolDocument } from '../../core/policy/documents.ts';
import type { StreamMeter } from '../dialect/types.ts';
import type { Provider } from '../provider/types.ts';
import type { Picked, Pools } from '../state/pool.ts';
import { Attempt } from './upstream-attempt.ts';
import { judge, refuseAll } from './upstream-judge.ts';
import { joinPath, type Origins, type UpstreamSettings } from './upstream-origins.ts';

export interface UpstreamDeps {
  readonly origins: Origins;
  readonly pools: Pools;
  readonly settings: UpstreamSettings;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

/** One call to one candidate: same pool, same model, whichever credential. */
export interface UpstreamCall {
  readonly provider: Provider;
  readonly pool: PoolDocument;
  /** From `upstreamPath`. */
  readonly path: string;
  /** From `queryForProvider`. */
  readonly query: string;
  /** From `headersForProvider`: without the credential, which is added here alone. */
  readonly headers: readonly string[];
  readonly body: Buffer;
  /** The provider's name of the model; what a limit may be confined to. */
  readonly model: string;
  readonly affinity?: string;
  /** Asked for each attempt that answers with a stream of events; null where the caller did not ask for one. */
  readonly meter: () => StreamMeter | null;
  /** Before each attempt goes out: the open record. Whatever it throws ends the call. */
  readonly attemptStarts?: (credential: string) => void;
}

/**
 * What an attempt cost. `not_sent` and `refused`: nothing. `unknown`: sent, and nobody can tell: the full bound. `answered`: by its usage.
 * Nothing is tried again after `unknown` or `answered`, so only the last attempt of a call can be either.
 */
export interface AttemptFact {
  readonly pool: PoolName;
  readonly credential: string;
  readonly status?: number;
  readonly outcome: 'not_sent' | 'refused' | 'unknown' | 'answered';
}

/** How an answer's bytes ended. `complete`: as HTTP says; whether the stream said its last word, its meter knows. */
export type BodyEnd = 'complete' | 'cut' | 'timeout' | 'stopped';

/** An answer that passes as it comes: streams, and what is too large to hold. */
export interface FlowingBody {
  readonly kind: 'flowing';
  /**
   * Hands over the bytes, those held so far first. `write` returns false to have the provider wait until `resume`.
   * To read on for a client that has left, let `write` drop and return true. Called once; rejects where `write` or the meter throws.
   */
  pipe(write: (chunk: Buffer) => boolean): Promise<BodyEnd>;
  resume(): void;
}

/** An answer that is here to its end, decoded. */
export interface WholeBody {
  readonly kind: 'whole';
  readonly bytes: Buffer;
}

export type UpstreamAnswer =
  | {
      readonly kind: 'answer';
      readonly status: number;
      /** Flat, for the client, without length and framing. */
      readonly headers: string[];
      readonly attempts: readonly AttemptFact[];
      readonly body: WholeBody | FlowingBody;
      /** Null: not a stream, or one that cannot be read in passing. */
      readonly meter: StreamMeter | null;
    }
  | { readonly kind: 'refusal'; readonly refusal: Refusal; readonly attempts: readonly AttemptFact[] }
  /** `stop` came first. */
  | { readonly kind: 'stopped'; readonly attempts: readonly AttemptFact[] };

/** A call under way. */
export interface Flight {
  /** Rejects only where `meter` or `attemptStarts` throws. */
  readonly answer: Promise<UpstreamAnswer>;
  /** Ends the call now: the client left, or its key was revoked. */
  stop(): void;
}

/**
 * The only outbound call. Rotates to a credential of another quota scope while a provider limits or refuses the one it has, and only
 * before the first byte of content. Redirects are never followed. A provider's outage costs the call, never more than its bound.
 */
export function callUpstream(deps: UpstreamDeps, call: UpstreamCall): Flight {
  let current: Attempt | null = null;
  let over: 'timeout' | 'stopped' | null = null;
  const end = (as: 'timeout' | 'stopped'): void => {
    over ??= as;
    current?.abort(as);
  };
  const timer = setTimeout(end, deps.settings.totalTimeoutMs, 'timeout');
  const start = (picked: Picked): Attempt => {
    current = dispatch(deps, call, picked);
    if (over !== null) current.abort(over);
    return current;
  };
  const answer = rotate(deps, call, start).then(
    (given) => {
      if (given.kind === 'answer' && current !== null) current.whenEnded(() => clearTimeout(timer));
      else clearTimeout(timer);
      return given;
    },
    (error: unknown) => {
      clearTimeout(timer);
      throw error;
    },
  );
  return { answer, stop: () => end('stopped') };
}

async function rotate(deps: UpstreamDeps, call: UpstreamCall, start: (picked: Picked) => Attempt): Promise<UpstreamAnswer> {
  const pool = call.pool.pool;
  const attempts: AttemptFact[] = [];
  const tried = new Set<string>();
  let lastBody: string | undefined;
  for (;;) {
    const picked = deps.pools.pick(pool, call.model, call.affinity, tried);
    if (picked.kind === 'none')
      return { kind: 'refusal', refusal: refuseAll(call, { none: picked, lastBody, nowMs: deps.clock() }), attempts };

    call.attemptStarts?.(picked.credential);
    const attempt = start(picked);
    const judged = judge(call, await attempt.result, { secret: picked.secret.reveal(), nowMs: deps.clock() });
    attempts.push({ pool, credential: picked.credential, ...judged.fact });
    if (judged.kind === 'final') return { ...judged.answer, attempts };

    // An error within a stream: nothing that may still follow it is wanted.
    attempt.abort('stopped');
    deps.pools.report(picked, call.model, judged);
    if (judged.verdict.kind === 'unauthorized') continue;
    tried.add(picked.quotaScope);
    lastBody = judged.body ?? lastBody;
  }
}

/** The one place where a credential is opened, and where it goes is said by the pool's document alone. */
function dispatch(deps: UpstreamDeps, call: UpstreamCall, picked: Picked): Attempt {
  const { dispatcher, prefix } = deps.origins.at(call.pool.endpoint);
  const { header, prefix: before } = call.provider.authentication;
  const attempt = new Attempt(deps.settings, call.meter);
  dispatcher.dispatch(
    {
      method: 'POST',
      path: joinPath(prefix, call.path) + call.query,
      headers: [...call.headers, header, before + picked.secret.reveal()],
      body: call.body,
    },
    attempt,
  );
  return attempt;
}
