import type { ServerResponse } from 'node:http';
import { type Refusal, refusalTable } from '../../core/errors.ts';
import { formatUsd, type NanoUsd } from '../../core/money.ts';
import type { Dialect, Family, Framing } from '../dialect/types.ts';

/** How events of a stream look to the caller. */
export interface StreamKind {
  readonly dialect: Dialect;
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

/** A refusal as the caller's own API would say it. Does nothing where the caller has gone. */
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

/** Ends a stream in flight with the dialect's error event: never a clean end. */
export function respondStreamError(response: ServerResponse, stream: StreamKind, refusal: Refusal, requestId: string): void {
  if (response.destroyed || response.writableEnded) return;
  const { dialect, framing } = stream;
  const streamError = dialect.streamError ?? dialect.family.streamError;
  response.end(streamError(refusal, requestId, framing));
}

/** A whole answer in one write. */
export function respondWhole(response: ServerResponse, status: number, headers: readonly string[], body: Buffer, notes: Notes): void {
  if (response.destroyed || response.headersSent) return;
  response.writeHead(status, [...headers, 'content-length', String(body.length), ...noteHeaders(notes)]);
  response.end(body);
}

/** What of a metered answer is still to be sent.
 *
 * - `whole`: nothing was sent yet.
 * - `refusal`: nothing was sent; or, where the head went out, the stream must not end cleanly.
 * - `end`: a stream that went well, less its end.
 * - `nothing`: nobody is there.
 */
export type Rest =
  | { readonly kind: 'whole'; readonly status: number; readonly headers: readonly string[]; readonly body: Buffer }
  | { readonly kind: 'refusal'; readonly refusal: Refusal }
  | { readonly kind: 'end' }
  | { readonly kind: 'nothing' };

/** What is left to send of a metered answer, once its entry is in the spool. */
export function respondRest(response: ServerResponse, rest: Rest, caller: StreamKind, notes: Notes): void {
  switch (rest.kind) {
    case 'whole':
      respondWhole(response, rest.status, rest.headers, rest.body, notes);
      return;
    case 'refusal':
      if (response.headersSent) respondStreamError(response, caller, rest.refusal, notes.requestId);
      else respondRefusal(response, caller.dialect.family, rest.refusal, notes);
      return;
    case 'end':
      response.end();
      return;
    case 'nothing':
      return;
  }
}

/** JSON of our own. */
export function respondJson(response: ServerResponse, status: number, value: unknown, requestId: string): void {
  respondWhole(response, status, ['content-type', 'application/json'], Buffer.from(JSON.stringify(value)), { requestId });
}
