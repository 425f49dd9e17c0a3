import type { IncomingHttpHeaders } from 'node:http';
import type { Refusal } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import type { NanoUsd } from '../../core/money.ts';
import type { Demand } from '../../core/price/demand.ts';
import type { Thinking } from '../../core/price/output-limit.ts';
import type { InputModality, Usage } from '../../core/price/types.ts';
import type { JsonBody } from './json.ts';
import type { Fate } from './sse.ts';

export type DialectId =
  | 'openai.chat'
  | 'openai.responses'
  | 'openai.compact'
  | 'openai.input_tokens'
  | 'openai.embeddings'
  | 'openai.completions'
  | 'openai.moderations'
  | 'mistral.fim'
  | 'anthropic.messages'
  | 'anthropic.count_tokens'
  | 'gemini.generateContent'
  | 'gemini.countTokens'
  | 'gemini.embedContent'
  | 'gemini.batchEmbedContents';

/** One vendor's API: its query parameters and headers, its errors and its list of models. */
export interface Family {
  /** Query parameters, as written, that change only the form of an answer. */
  readonly queryParameters: readonly string[];
  /** A header that a provider requires, and its default value. Lower case. */
  readonly requiredHeader?: { readonly name: string; readonly value: string };
  /** A refusal in this API's format; `code` is ours and stable. SDKs choose their error class by HTTP status and show `message`. */
  errorBody(refusal: Refusal, requestId: string): object;
  /** The text that ends a stream with an error, after a whole event. SDKs raise it; it never looks like a clean end. */
  streamError(refusal: Refusal, requestId: string, framing: Framing): string;
  /** One model in this API's format, alone and in the list. */
  model(model: ShownModel): object;
  /** The answer to this API's request for a list of models. */
  modelList(models: readonly ShownModel[]): object;
}

/** What clients may know of a model. */
export interface ShownModel {
  readonly id: string;
  readonly provider: string;
  /** Absent: unknown. */
  readonly contextTokens?: number | undefined;
  /** Absent: unknown. */
  readonly maxOutputTokens?: number | undefined;
}

/** Everything in a body that the line uses, read once. */
export interface Facts {
  /** As the caller wrote it. */
  readonly model: string;
  readonly stream: boolean;
  /** The caller's own output limit; absent: none given. */
  readonly maxOutputTokens?: number | undefined;
  readonly demand: Demand;
  readonly thinking?: Thinking | undefined;
  /** Top-level fields that nobody has judged: a compatible server may bill for them. */
  readonly unjudged: readonly string[];
  /** Bound of the tokens that a chat template of an open model may add to what the request's bytes bound. Read for lenient servers alone. */
  readonly templateTokens?: (() => number) | undefined;
  /** The provider's id of an earlier answer that the request continues. The demand counts it as content of unstated size. */
  readonly continues?: string | undefined;
  /** OpenAI chat streams: true if the caller itself requested the usage chunk. True elsewhere. */
  readonly wantsUsage: boolean;
  /** Keeps a conversation on one credential; absent: none was found. */
  readonly affinity?: string | undefined;
}

/** What the line may change in a body; everything else stays byte for byte. */
export interface Changes {
  readonly model?: string | undefined;
  readonly maxOutputTokens?: number | undefined;
  /** OpenAI chat: the field from which the provider reads the limit, if it may ignore the other. Default without a limit from the caller: `max_completion_tokens`. */
  readonly outputField?: 'max_completion_tokens' | 'max_tokens' | undefined;
  readonly includeUsage?: boolean | undefined;
  /** The limit to set on calls of hosted tools without one. */
  readonly toolCalls?: number | undefined;
  /** The limit of thinking, if it must be lowered too. */
  readonly thinkingTokens?: number | undefined;
  /** Ask for the standard service tier, because the account's default may be a dearer one. OpenAI and Azure only. */
  readonly standardTier?: boolean | undefined;
  /** The highest prices that the provider may choose, in pico-USD per token. OpenRouter only. */
  readonly maxPrice?: { readonly input: number; readonly output: number } | undefined;
}

/** One wire dialect: facts of a request, usage of a response. Pure, except for meters, which hold the state of one response. */
export interface Dialect {
  readonly id: DialectId;
  readonly family: Family;
  /** Present if a stream's error differs from its family's (OpenAI Responses). */
  readonly streamError?: Family['streamError'];
  /** False for what providers do not bill and quotas do not count (`count_tokens`). */
  readonly billed: boolean;
  /** True if its models need no price on any key (moderation); absent: they do, as policy demands. */
  readonly needsNoPrice?: true;
  /** True if an output limit makes sense; false for embeddings and counting. */
  readonly generates: boolean;
  /** Reads the facts. `action` comes from the path: the model (Gemini) and whether it streams. */
  read(body: JsonBody, action: RouteAction, headers: IncomingHttpHeaders): Facts | Refusal;
  /** The bytes for the provider; the same buffer if nothing changes. */
  rewrite(body: JsonBody, changes: Changes): Buffer;
  /** Reads a whole response that is not a stream; usage is null if it names none. */
  readUsage(body: Buffer): Reading;
  /** Makes a meter for a stream. `usageChunk`: whether to keep a chunk that holds only usage, which the caller may not have requested. */
  meterStream(usageChunk: Fate): StreamMeter;
  /** True if a stream asked for with this query (of `queryForProvider`) is one of server-sent events. Absent: every stream is. */
  streamsEvents?(query: string): boolean;
}

/** Puts a request to the provider's token counter. Pure. */
export interface Counter {
  /** What the counter covers beside text. */
  readonly modalities: readonly InputModality[];
  /** The counter's request, as a JSON value; null: this one has no exact form. */
  request(body: JsonBody, model: string): JsonObject | null;
  /** Input tokens of its answer, a JSON value; null: it names none. */
  read(answer: unknown): number | null;
}

export interface RouteAction {
  /** From the path; Gemini only. */
  readonly model?: string;
  /** From the path; Gemini only. */
  readonly stream?: boolean;
}

export interface Reading {
  readonly usage: Usage | null;
  /** The provider's name of it; absent if the response has none. */
  readonly servedModel?: string;
  /** The provider's id of the answer, by which a later request may continue it (Responses). */
  readonly answerId?: string;
  /** What the answer itself says that the call cost, whatever the provider: only OpenRouter's word counts. */
  readonly namedCostNano?: NanoUsd;
  /** JSON text of an error that replaces an answer with a 2xx status (OpenRouter). */
  readonly errorBody?: string;
}

export type Framing = 'sse' | 'array';

/** Follows one streamed response. Never buffers more than one unfinished event. */
export interface StreamMeter {
  /** How the stream is cut into events: Gemini without `alt=sse` is one JSON array. `sse` until the first byte arrives. */
  readonly framing: Framing;
  /** The bytes to forward now, in order; possibly none. Chunks may split anywhere, also inside UTF-8 and CRLF. */
  push(chunk: Buffer): readonly Buffer[];
  /** At the end of the stream: bytes still held. */
  flush(): readonly Buffer[];
  /** `preamble` until the first event with content: pings and `created` events do not count, an error event does (as `error`, until content follows it). */
  readonly phase: 'preamble' | 'content' | 'error';
  /** JSON text of the first error event; set with phase `error`, or later in a stream that failed midway. */
  readonly errorBody: string | undefined;
  /** True after the provider's own end of the stream (`[DONE]`, `message_stop`, `response.completed`, a finish reason with usage). */
  readonly complete: boolean;
  /** True after the provider's own end of the stream, with or without usage: `complete`, or a finish reason of each answer. */
  readonly ended: boolean;
  /** Counts the generated text of all events from now on. Call it before the first byte. */
  countOutput(): void;
  /** Bound of the output tokens that have streamed; null: they are not counted, or an event was too long to read. */
  readonly outputTokens: number | null;
  /** The usage so far; the last reading counts. */
  reading(): Reading;
}
