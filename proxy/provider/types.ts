import type { IncomingHttpHeaders } from 'node:http';
import type { ProviderKind } from '../../core/manifest/providers.ts';
import type { Overhead } from '../../core/price/demand.ts';
import type { DialectId } from '../dialect/types.ts';
import type { ErrorBody } from './error-body.ts';
import type { ErrorRow } from './error-cost.ts';

/** One provider as data: base URL, authentication, paths, error classes, fixed token overhead. */
export interface Provider {
  readonly kind: ProviderKind;
  /** Dialects that it speaks natively, with the path of each. `{model}` is replaced, percent-encoded. */
  readonly paths: Readonly<Partial<Record<DialectId, ProviderPath>>>;
  /** Header that carries the credential, and what precedes it. */
  readonly authentication: { readonly header: string; readonly prefix: string };
  /**
   * A free GET that any valid credential may make, whatever its scopes: it says whether a rejection is about the credential or about
   * one caller's request. Null: there is none, so that a rejection counts.
   */
  readonly probe: { readonly path: string; readonly headers: readonly string[] } | null;
  /** What it adds to a request of this model. */
  overheadOf(model: string): Overhead;
  /** True if servers of this kind accept body fields that the API does not name, and may bill for what they do. */
  readonly isLenient?: true;
  /** True if the account may have a dearer service tier as its default for this model, which a request can decline. */
  hasDefaultTier?(model: string): boolean;
  /** True if servers of this kind close idle connections after seconds, often without naming a time. */
  readonly closesIdleSoon?: true;
  /** True if it chooses among hosts of different prices, below a maximum that a request can name. */
  readonly choosesHost?: true;
  /** Its token counter, by the dialect of the call that is counted. */
  readonly counting?: Readonly<Partial<Record<DialectId, CountingPoint>>>;
  /** True if its streams of OpenAI chat end with usage unasked, and it may refuse to be asked. */
  readonly sendsUsageUnasked?: true;
  /** The name of the output limit in OpenAI chat, if it is not `max_completion_tokens`. */
  readonly outputField?: 'max_tokens';
  /** What its error answers cost, first match first. */
  readonly errors: readonly ErrorRow[];
  /** True if the provider does not bill what it would have generated after an error within a stream. */
  readonly stopsAtError?: true;
  /** The status that an error within a 200 answer stands for; 200 if it names none. */
  statusWithin(error: ErrorBody): number;
  /** Decides what an answer that is not 2xx (or an error event before content) means for the credential. Pure. */
  classify(answer: ErrorAnswer): Verdict;
}

/** The input of a verdict: an answer that is not 2xx, or an error within a 2xx answer. */
export interface ErrorAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
}

/** Where a provider counts tokens, and how far its bill may exceed its count. */
export interface CountingPoint {
  /** `{model}` is replaced, percent-encoded. */
  readonly path: string;
  /** The bill is at most this percent of the count and this many tokens more. */
  readonly margin: { readonly percent: number; readonly tokens: number };
}

interface ProviderPath {
  readonly json: string;
  /** Set if streaming has a path of its own (Gemini). */
  readonly stream?: string;
}

/**
 * What to do about a failed attempt.
 * - `cooldown`: the quota scope (or only this model in it) is limited until `untilMs`; try another scope.
 * - `disabled`: the scope has no money or has reached its monthly limit; until `untilMs` if the provider names a date.
 * - `unauthorized`: the provider rejects this credential, or this request with it; a second opinion decides which.
 * - `misfit`: the request is larger than this scope's limit can ever take; another scope may take it, and smaller ones fit here.
 * - `overloaded`: the whole vendor is overloaded. Rotation would add load, so the caller gets the answer.
 * - `caller`: the caller's own mistake, or anything else that passes through unchanged.
 */
export type Verdict =
  | { readonly kind: 'cooldown'; readonly untilMs: number; readonly model: boolean; readonly code: string }
  | { readonly kind: 'disabled'; readonly untilMs?: number; readonly code: string }
  | { readonly kind: 'unauthorized'; readonly code: string }
  | { readonly kind: 'misfit'; readonly code: string }
  | { readonly kind: 'overloaded'; readonly retryAfterMs?: number; readonly code: string }
  | { readonly kind: 'caller'; readonly code: string };
