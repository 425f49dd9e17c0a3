/** Whose wire format a call speaks. */
export type Family = 'openai' | 'anthropic' | 'gemini';

/** A parsed JSON object of a request. */
export type Json = Readonly<Record<string, unknown>>;

/** One line of the simulated provider's own price list. Rates in pico-USD per token. */
export interface SimulatedModel {
  readonly name: string;
  readonly family: Family;
  readonly price: {
    readonly input: bigint;
    readonly output: bigint;
    readonly cachedInput?: bigint;
    readonly cacheWrite?: bigint;
    readonly cacheWrite1h?: bigint;
  };
  /** Default 4096. */
  readonly maxOutputTokens?: number;
  /** Hidden reasoning tokens before each answer; default 0. */
  readonly reasoningTokens?: number;
  /** True: a prompt seen before is served three quarters from cache, unless its breakpoints say what is. */
  readonly caches?: boolean;
  readonly embeds?: boolean;
}

/** A part of a prompt that a cache can end with. */
export interface Block {
  readonly text: string;
  /** True where the caller asks for what comes up to its end to be cached. */
  readonly breakpoint: boolean;
}

/** What one request reads from the prompt cache and writes to it, in tokens. */
export interface CacheUse {
  readonly read: number;
  readonly written: number;
}

/** A request in the terms that all dialects share. */
export interface Prompt {
  readonly model: string;
  readonly stream: boolean;
  /** Text of the last user turn. */
  readonly text: string;
  /** Everything that a model would read, as one text: the basis of the token count. */
  readonly everything: string;
  readonly maxOutputTokens?: number | undefined;
  /** Most tokens of thought; undefined: the model decides. */
  readonly thinkingBudget?: number | undefined;
  readonly choices: number;
  readonly tools: readonly { readonly name: string; readonly schema: unknown }[];
  readonly toolChoice: 'auto' | 'none' | 'required' | { readonly name: string };
  /** True where the last turn is a tool's result: the model then answers in text. */
  readonly afterTool: boolean;
  /** A JSON schema that the answer must fit; `true` for any JSON object. */
  readonly schema?: unknown;
  /** OpenAI chat streams: the caller asked for the usage chunk. */
  readonly wantsUsage: boolean;
  /** The caller asked for a cache write (Anthropic's cache_control). */
  readonly cacheWrite: 'none' | '5m' | '1h';
  /** In the order in which the model reads them; undefined: the dialect knows no breakpoints. */
  readonly blocks?: readonly Block[];
}

/** Totals as a provider counts them: `input` includes cached and written tokens, `output` includes reasoning. */
export interface SimulatedUsage {
  readonly input: number;
  readonly cachedInput: number;
  readonly cacheWrite: number;
  readonly cacheWrite1h: number;
  readonly output: number;
  readonly reasoning: number;
}

/** What the simulated model says; dialects only give it a shape. */
export interface Answer {
  readonly id: string;
  readonly model: string;
  /** Text in the pieces in which it streams, one a token; empty for a tool call. */
  readonly pieces: readonly string[];
  readonly toolCall?: { readonly name: string; readonly arguments: Json } | undefined;
  readonly finish: 'stop' | 'length' | 'tool';
  /** True where it begins with a block of thoughts. */
  readonly thinks: boolean;
  readonly choices: number;
  readonly usage: SimulatedUsage;
  /** Seconds since the epoch. */
  readonly createdSeconds: number;
}

/** One event of a stream as it goes over the wire. */
export interface Frame {
  readonly text: string;
  /** `usage` frames are what the `noUsage` condition leaves out; `token` frames are what `msPerToken` slows. */
  readonly kind: 'preamble' | 'token' | 'end' | 'usage';
}

/** What the caller did wrong; rendered in its dialect. */
export interface BadRequest {
  readonly badRequest: string;
  readonly param?: string;
}

/** One dialect of one provider. */
export interface SimulatedDialect {
  readonly family: Family;
  /** Reads a request; Gemini's model and stream flag come from the path. */
  parse(body: Json, path: { readonly model?: string; readonly stream?: boolean }): Prompt | BadRequest;
  /** The answer when it is not streamed. */
  json(answer: Answer): Json;
  /** The answer as a stream. */
  frames(answer: Answer, prompt: Prompt): readonly Frame[];
  /** An error that arrives within a stream, after status 200. */
  errorFrame(): string;
}
