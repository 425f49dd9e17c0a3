import type { ServerResponse } from 'node:http';
import { type Refusal, refusalTable } from '../../core/errors.ts';
import { formatUsd, type NanoUsd } from '../../core/money.ts';
import type { Dialect, Family, Framing } from '../dialect/types.ts';

/** Whom a call's answer goes to, and how it must look there. */
export interface Recipient {
  readonly response: ServerResponse;
  readonly dialect: Dialect;
  /** How events look once the answer is a stream. */
  readonly framing: Framing;
}

/** What KeyForge adds to every answer. */
export interface Notes {
  readonly requestId: string;
  readonly costNano?: NanoUsd;
  readonly remainingNano?: NanoUsd | undefined;
  readonly warnings?: readonly string[];
}

/** The `x-keyforge-*` headers, flat. */
export function noteHeaders(notes: Notes): string[] {
  const headers = ['x-keyforge-request-id', notes.requestId];
  if (notes.costNano !== undefined) headers.push('x-keyforge-cost-usd', formatUsd(notes.costNano));
  if (notes.remainingNano !== undefined) headers.push('x-keyforge-remaining-usd', formatUsd(Math.max(0, notes.remainingNano)));
  if (notes.warnings !== undefined && notes.warnings.length > 0) headers.push('x-keyforge-warnings', notes.warnings.join('; '));
  return headers;
}

/** A refusal as the caller's own API would write it. Does nothing where the caller has gone. */
export function respondRefusal(response: ServerResponse, family: Family, refusal: Refusal, notes: Notes): void {
  if (response.destroyed || response.headersSent) return;
  const { status, retryable } = refusalTable[refusal.code];
  const body = Buffer.from(refusal.providerBody ?? JSON.stringify(family.errorBody(refusal, notes.requestId)));
  const headers = ['content-type', 'application/json', 'content-length', String(body.length)];
  headers.push('x-should-retry', String(refusal.retryable ?? retryable), ...noteHeaders(notes));
  if (refusal.retryAfterSeconds !== undefined) headers.push('retry-after', String(Math.max(1, Math.ceil(refusal.retryAfterSeconds))));
  // What is left of a request body must not be read as the next request.
  if (!response.req.complete) headers.push('connection', 'close');
  response.writeHead(status, headers);
  response.end(body);
}

/** Ends a call with a refusal: its whole answer while nothing was sent, else the dialect's error event: never a clean end. */
export function respondFailure({ response, dialect, framing }: Recipient, refusal: Refusal, notes: Notes): void {
  if (!response.headersSent) {
    respondRefusal(response, dialect.family, refusal, notes);
    return;
  }
  if (response.destroyed || response.writableEnded) return;
  const streamError = dialect.streamError ?? dialect.family.streamError;
  response.end(streamError(refusal, notes.requestId, framing));
}

/** An answer that is sent in one write. */
interface WholeAnswer {
  readonly status: number;
  /** Flat, without its length. */
  readonly headers: readonly string[];
  readonly body: Buffer;
}

/** A whole answer in one write. Does nothing where the caller has gone. */
function respondWhole(response: ServerResponse, { status, headers, body }: WholeAnswer, notes: Notes): void {
  if (response.destroyed || response.headersSent) return;
  response.writeHead(status, [...headers, 'content-length', String(body.length), ...noteHeaders(notes)]);
  response.end(body);
}

/**
 * What of a metered answer is still to be sent.
 * - `whole`: nothing was sent yet.
 * - `refusal`: nothing was sent; or, where the head went out, the stream must not end cleanly.
 * - `end`: a stream that went well, less its end.
 * - `nothing`: nobody is there.
 */
export type Rest =
  | ({ readonly kind: 'whole' } & WholeAnswer)
  | { readonly kind: 'refusal'; readonly refusal: Refusal }
  | { readonly kind: 'end' }
  | { readonly kind: 'nothing' };

/** What is left to send of a metered answer, once its entry is in the spool. */
export function respondRest(to: Recipient, rest: Rest, notes: Notes): void {
  switch (rest.kind) {
    case 'whole':
      respondWhole(to.response, rest, notes);
      return;
    case 'refusal':
      respondFailure(to, rest.refusal, notes);
      return;
    case 'end':
      to.response.end();
      return;
    case 'nothing':
      return;
  }
}

/** JSON of our own. */
export function respondJson(response: ServerResponse, status: number, value: unknown, requestId: string): void {
  const body = Buffer.from(JSON.stringify(value));
  respondWhole(response, { status, headers: ['content-type', 'application/json'], body }, { requestId });
}
