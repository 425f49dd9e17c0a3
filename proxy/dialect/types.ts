import type { IncomingHttpHeaders } from 'node:http';
import type { Refusal } from '../../core/errors.ts';
import type { Demand } from '../../core/price/demand.ts';
import type { Usage } from '../../core/price/types.ts';
import type { JsonBody } from './json.ts';
import type { Fate } from './sse.ts';

export type DialectId =
  | 'openai.chat'
  | 'openai.responses'
  | 'openai.embeddings'
  | 'anthropic.messages'
  | 'anthropic.count_tokens'
  | 'gemini.generateContent'
  | 'gemini.countTokens'
  | 'gemini.embedContent'
  | 'gemini.batchEmbedContents';

/** One vendor's API: what of a client's request belongs to it, how it writes errors and how it lists models. */
export interface Family {
  /** Parameters of a query, as they are written, that change the form of an answer and nothing else. */
  readonly queryParameters: readonly string[];
  /** A header that a provider requires, and what it gets where the client sends none. Lower case. */
  readonly requiredHeader?: { readonly name: string; readonly value: string };
  /** A refusal as this API would write it; `code` is ours and stable. SDKs pick their error class by HTTP status and show `message`. */
  errorBody(refusal: Refusal, requestId: string): object;
  /** What ends a stream in flight with an error, after a whole event: SDKs raise it, and nothing looks like a clean end. */
  streamError(refusal: Refusal, requestId: string, framing: Framing): string;
  /** The answer of this API's list of models. */
  modelList(models: readonly ListedModel[]): object;
}

interface ListedModel {
  readonly id: string;
  readonly provider: string;
}

/** All that the line acts on, read once from an unambiguous body. */
export interface Facts {
  /** As the caller wrote it. */
  readonly model: string;
  readonly stream: boolean;
  /** The caller's own output limit; absent: none given. */
  readonly maxOutputTokens?: number | undefined;
  readonly demand: Demand;
  /** OpenAI chat streams: did the caller itself request the usage chunk? True elsewhere. */
  readonly wantsUsage: boolean;
  /** Keeps a conversation on one credential; absent: none could be found. */
  readonly affinity?: string | undefined;
}

/** What the line may change in a body; everything else stays byte for byte. */
export interface Changes {
  readonly model?: string | undefined;
  readonly maxOutputTokens?: number | undefined;
  /** OpenAI chat, where the caller gave no limit: the field that the provider knows. Default `max_completion_tokens`. */
  readonly outputField?: 'max_completion_tokens' | 'max_tokens' | undefined;
  readonly includeUsage?: boolean | undefined;
  /** The limit to set on web searches that have none. */
  readonly searches?: number | undefined;
}

/** One wire dialect: facts of a request, usage of a response. Pure, but for the meters, which keep state of one response. */
export interface Dialect {
  readonly id: DialectId;
  readonly family: Family;
  /** Present where a stream's error is not its family's (OpenAI Responses). */
  readonly streamError?: Family['streamError'];
  /** False for what providers do not bill and quotas do not count (`count_tokens`). */
  readonly billed: boolean;
  /** True where a limit on output makes sense; false for embeddings and counting. */
  readonly generates: boolean;
  /** `action` is what the route captured from the path: the model (Gemini) and whether it streams. */
  read(body: JsonBody, action: RouteAction, headers: IncomingHttpHeaders): Facts | Refusal;
  /** The bytes for the provider. The same buffer where nothing changes. */
  rewrite(body: JsonBody, changes: Changes): Buffer;
  /** Reads a response that is not a stream, whole; usage null where it names none. */
  readUsage(body: Buffer): Reading;
  /** Reads a stream as it passes. `usageChunk`: what becomes of a chunk that holds usage alone, which the caller may not have requested. */
  meterStream(usageChunk: Fate): StreamMeter;
}

export interface RouteAction {
  /** From the path; Gemini only. */
  readonly model?: string;
  /** From the path; Gemini only. */
  readonly stream?: boolean;
}

export interface Reading {
  readonly usage: Usage | null;
  /** As the provider names it; absent where it does not. */
  readonly servedModel?: string;
  /** JSON text of an error that came with a 2xx status in place of an answer (OpenRouter). */
  readonly errorBody?: string;
}

export type Framing = 'sse' | 'array';

/** Follows one streamed response. Never buffers more than one unfinished event. */
export interface StreamMeter {
  /** How the stream is cut into events: Gemini without `alt=sse` is one JSON array. Known after the first byte; until then `sse`. */
  readonly framing: Framing;
  /** The bytes to forward now, in order; possibly none. Chunks may split anywhere, also inside UTF-8 and CRLF. */
  push(chunk: Buffer): readonly Buffer[];
  /** At the end of the stream: bytes still held. */
  flush(): readonly Buffer[];
  /** `preamble` until the first event with content: pings and `created` events do not count, an error event does (as `error`). */
  readonly phase: 'preamble' | 'content' | 'error';
  /** JSON text of the first error event; set with phase `error`, or later in a stream that failed midway. */
  readonly errorBody: string | undefined;
  /** True once the provider's own end of the stream was seen (`[DONE]`, `message_stop`, `response.completed`, a finish reason with usage). */
  readonly complete: boolean;
  /** What is known of usage so far; the last one counts. */
  reading(): Reading;
}
