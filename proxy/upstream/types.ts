import type { Sharers } from '../../core/budget/shares.ts';
import type { Refusal } from '../../core/errors.ts';
import type { OnDisconnect } from '../../core/manifest/types.ts';
import type { KeyName, PoolName } from '../../core/names.ts';
import type { PoolDocument } from '../../core/policy/documents.ts';
import type { Reading, StreamMeter } from '../dialect/types.ts';
import type { Provider } from '../provider/types.ts';

/** Makes the meter of one answer. */
export interface Meters {
  /** For a stream of events; null if the caller did not request one. */
  stream(): StreamMeter | null;
  /** For an answer that is too large to hold. */
  large(): StreamMeter;
  /** Reads an answer that was held. */
  whole(body: Buffer): Reading;
}

/** One call to one candidate: same pool and model, any credential. */
export interface UpstreamCall {
  readonly key: KeyName;
  /** Who counts for it where calls at a provider are shared by key: `sharersOf`. */
  readonly sharers: Sharers;
  readonly provider: Provider;
  readonly pool: PoolDocument;
  /** From `upstreamPath`. */
  readonly path: string;
  /** From `queryForProvider`. */
  readonly query: string;
  /** From `headersForProvider`, without the credential, which only this stage adds. */
  readonly headers: readonly string[];
  readonly body: Buffer;
  /** The provider's name of the model; a limit may apply to it alone. */
  readonly model: string;
  /** True if the provider limits such calls apart from those that generate (counting): their limits put nothing else aside. */
  readonly isLimitedApart?: boolean;
  readonly affinity?: string | undefined;
  readonly meters: Meters;
  /** Called once a slot is free, before each attempt is sent, to write the open record. If it throws, the call ends. */
  readonly onAttempt?: (credential: string) => void;
  /**
   * Called if a request was lost on a connection that had been idle: it may be sent again, once, if another reservation pays
   * for it. Default: it is not sent again.
   */
  readonly onResend?: () => boolean | Promise<boolean>;
  /** Called once the outcome of an attempt is known, before the next one starts. */
  readonly onAttemptEnd?: (attempt: AttemptFact) => void;
}

/**
 * What an attempt cost. `not_sent` and `refused`: nothing. `unknown`: sent with an unknown end, or an error that is in no row of
 * the provider's free ones, so the full bound. `answered`: by its usage. Only the last attempt of a call can be `answered`, and an
 * earlier one `unknown` only if it was sent again.
 */
export interface AttemptFact {
  readonly pool: PoolName;
  readonly credential: string;
  readonly status?: number;
  readonly outcome: 'not_sent' | 'refused' | 'unknown' | 'answered';
  /** The class of an error answer, from the provider's verdict; bounded, so that it can be a label. */
  readonly code?: string;
  /** Absent: the call itself. */
  readonly purpose?: 'count';
}

/** How an answer's bytes ended. `complete`: by HTTP. The meter knows whether the stream reached its own end. */
export type BodyEnd = 'complete' | 'cut' | 'timeout' | 'stopped';

/** An answer that is forwarded as it arrives: a stream, or one that is too large to hold. */
export interface FlowingBody {
  readonly kind: 'flowing';
  /**
   * Passes the bytes to `write`, held bytes first. If `write` returns false, the provider waits until `resume`.
   * To drain after a client has left, let `write` drop the bytes and return true. Call it once; it rejects if `write` or the meter throws.
   */
  pipe(write: (chunk: Buffer) => boolean): Promise<BodyEnd>;
  resume(): void;
}

/** A complete answer, decoded. */
export interface WholeBody {
  readonly kind: 'whole';
  readonly bytes: Buffer;
}

/** A provider's answer, as the client may see it. */
export interface ProviderAnswer {
  readonly kind: 'answer';
  readonly status: number;
  /** Flat, for the client, without length and framing. */
  readonly headers: string[];
  readonly body: WholeBody | FlowingBody;
  /** Null: it was held whole, or no meter can read it. */
  readonly meter: StreamMeter | null;
  /** True: an error that costs nothing, because the provider is overloaded or out of reach. */
  readonly isOutage?: true;
  /** True: an error that costs nothing, about the credential; the pool has no retry left for another one. */
  readonly isLimit?: true;
}

/** How a call to one candidate ended. */
export type UpstreamOutcome =
  | ProviderAnswer
  | { readonly kind: 'refusal'; readonly refusal: Refusal }
  /** `stop` was called before an answer. */
  | { readonly kind: 'stopped' };

export type UpstreamAnswer = UpstreamOutcome & { readonly attempts: readonly AttemptFact[] };

/** A call in progress. */
export interface Flight {
  /** Rejects only if a meter or `onAttempt` throws. */
  readonly answer: Promise<UpstreamAnswer>;
  /** What its pool wants done with it once nobody waits for its answer. */
  readonly onDisconnect: OnDisconnect;
  /** Ends the call now, because the client left or its key was revoked. */
  stop(): void;
}
