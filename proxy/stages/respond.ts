import type { ServerResponse } from 'node:http';
import { type Refusal, refusalTable } from '../../core/errors.ts';
import { formatUsd, type NanoUsd } from '../../core/money.ts';
import type { Dialect, Family, Framing } from '../dialect/types.ts';
import { acceptedEncodings } from '../intake/encoding.ts';
import { endUnread } from '../intake/linger.ts';

/** The recipient of a call's answer, and the format that it expects. */
export interface Recipient {
  readonly response: ServerResponse;
  readonly dialect: Dialect;
  /** The framing of events, if the answer is a stream. */
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

/** Sends a refusal in the format of the caller's own API. Does nothing if the caller has disconnected. */
export function respondRefusal(response: ServerResponse, family: Family, refusal: Refusal, notes: Notes): void {
  if (response.destroyed || response.headersSent) return;
  const { status, retryable } = refusalTable[refusal.code];
  const body = Buffer.from(refusal.providerBody ?? JSON.stringify(family.errorBody(refusal, notes.requestId)));
  const headers = ['content-type', 'application/json', 'content-length', String(body.length)];
  headers.push('x-should-retry', String(refusal.retryable ?? retryable), ...noteHeaders(notes));
  if (refusal.retryAfterSeconds !== undefined) headers.push('retry-after', String(Math.max(1, Math.ceil(refusal.retryAfterSeconds))));
  if (refusal.code === 'unsupported_encoding') headers.push('accept-encoding', acceptedEncodings);
  // The rest of a request body must not be read as the next request.
  const isUnread = !response.req.complete;
  // RFC 9110 15.5.22: 426 names the protocol to use.
  if (refusal.code === 'upgrade_required') headers.push('upgrade', 'HTTP/1.1', 'connection', 'upgrade, close');
  else if (isUnread) headers.push('connection', 'close');
  response.writeHead(status, headers);
  if (isUnread) endUnread(response, body);
  else response.end(body);
}

/** Ends a call with a refusal. If nothing was sent, it is the whole answer; otherwise the dialect's error event, never a clean end. */
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

/** Sends a whole answer in one write. Does nothing if the caller has disconnected. */
function respondWhole(response: ServerResponse, { status, headers, body }: WholeAnswer, notes: Notes): void {
  if (response.destroyed || response.headersSent) return;
  response.writeHead(status, [...headers, 'content-length', String(body.length), ...noteHeaders(notes)]);
  // Node joins a string with the head in one buffer, which costs less than a vector of two; a large one would be copied for nothing.
  if (body.length <= maxJoinedBytes) response.end(body.toString('latin1'), 'latin1');
  else response.end(body);
}

const maxJoinedBytes = 16_384;

/**
 * The rest of a metered answer.
 * - `whole`: nothing was sent yet.
 * - `refusal`: nothing was sent; or the head was sent, and the stream must not end cleanly.
 * - `end`: a good stream that lacks only its end.
 * - `nothing`: the client has disconnected.
 */
export type Rest =
  | ({ readonly kind: 'whole' } & WholeAnswer)
  | { readonly kind: 'refusal'; readonly refusal: Refusal }
  | { readonly kind: 'end' }
  | { readonly kind: 'nothing' };

/** Sends the rest of a metered answer, after its entry is in the spool. */
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

/** Sends JSON of KeyForge's own API. */
export function respondJson(response: ServerResponse, status: number, value: unknown, requestId: string): void {
  const body = Buffer.from(JSON.stringify(value));
  respondWhole(response, { status, headers: ['content-type', 'application/json'], body }, { requestId });
}
