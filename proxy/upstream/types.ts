import type { Refusal } from '../../core/errors.ts';
import type { PoolName } from '../../core/names.ts';
import type { PoolDocument } from '../../core/policy/documents.ts';
import type { StreamMeter } from '../dialect/types.ts';
import type { Provider } from '../provider/types.ts';

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
  /** Called for each attempt that answers with a stream of events; null where the caller did not request one. */
  readonly meter: () => StreamMeter | null;
  /** Before each attempt is sent: the open record. Whatever it throws ends the call. */
  readonly onAttempt?: (credential: string) => void;
}

/**
 * What an attempt cost. `not_sent` and `refused`: nothing. `unknown`: sent, and nobody knows more: the full bound. `answered`: by its usage.
 * Nothing is retried after `unknown` or `answered`, so only the last attempt of a call can be either.
 */
export interface AttemptFact {
  readonly pool: PoolName;
  readonly credential: string;
  readonly status?: number;
  readonly outcome: 'not_sent' | 'refused' | 'unknown' | 'answered';
}

/** How an answer's bytes ended. `complete`: as HTTP says; whether the stream came to its own end, its meter knows. */
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

/** What a provider answered, as the client may see it. */
export interface ProviderAnswer {
  readonly kind: 'answer';
  readonly status: number;
  /** Flat, for the client, without length and framing. */
  readonly headers: string[];
  readonly body: WholeBody | FlowingBody;
  /** Null: not a stream, or one that cannot be read in passing. */
  readonly meter: StreamMeter | null;
}

/** How a call to one candidate ended. */
export type UpstreamOutcome =
  | ProviderAnswer
  | { readonly kind: 'refusal'; readonly refusal: Refusal }
  /** `stop` came first. */
  | { readonly kind: 'stopped' };

export type UpstreamAnswer = UpstreamOutcome & { readonly attempts: readonly AttemptFact[] };

/** A call under way. */
export interface Flight {
  /** Rejects only where `meter` or `onAttempt` throws. */
  readonly answer: Promise<UpstreamAnswer>;
  /** Ends the call now: the client left, or its key was revoked. */
  stop(): void;
}
