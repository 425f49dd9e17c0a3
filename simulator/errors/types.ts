import type { Json } from '../types.ts';

/** A whole answer that is not a success. */
export interface ErrorAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer;
}

/** What the provider of one family really sends when a call goes wrong. */
export interface FamilyErrors {
  /** 429 of a per-minute limit, with the headers and details that say when to retry. */
  rateLimited(model: string, retryAfterSeconds: number): ErrorAnswer;
  /** The account has no money left. */
  insufficientQuota(): ErrorAnswer;
  /** The credential is not known. The key itself is never repeated, though OpenAI's real message shows a part of it. */
  unauthorized(): ErrorAnswer;
  /** The vendor as a whole has too much to do. */
  overloaded(): ErrorAnswer;
  /** 500 with the provider's JSON. */
  serverError(): ErrorAnswer;
  /** The model is not in the price list. */
  unknownModel(model: string): ErrorAnswer;
  /** The request is wrong in itself. */
  badRequest(message: string, param?: string): ErrorAnswer;
  unknownRoute(): ErrorAnswer;
}

/** An answer in JSON. */
export function jsonAnswer(status: number, body: Json, headers: Readonly<Record<string, string>> = {}): ErrorAnswer {
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) };
}
