import { createHash, hash } from 'node:crypto';
import type { CallCode } from '../../core/audit/types.ts';
import { type Refusal, refusalTable, refuse } from '../../core/errors.ts';
import { readHeld } from '../dialect/meter.ts';
import type { Reading, StreamMeter } from '../dialect/types.ts';
import { readError } from '../provider/error-body.ts';
import type { AttemptFact, BodyEnd, FlowingBody, ProviderAnswer } from '../upstream/types.ts';
import type { KeepAlive } from './keep-alive.ts';
import { type Notes, noteHeaders, type Recipient, type Rest } from './respond.ts';
import type { Sent } from './send.ts';
import type { CallEnd } from './settle.ts';

/** How a call ended, and the rest of its answer. */
export interface Metered {
  readonly end: CallEnd;
  readonly code: CallCode;
  readonly status: number;
  readonly firstByteMs?: number | undefined;
  /** Hexadecimal SHA-256 of the bytes for the client, without the comments of `KeepAlive`. */
  readonly responseSha256?: string | undefined;
  readonly rest: Rest;
}

/** The call whose answer is metered. */
interface MeteredCall extends Recipient {
  readonly isAbandoned: boolean;
  /** How it ends if it is abandoned. */
  readonly abandonedAs: { readonly code: CallCode; readonly status: number };
  /** Notes that the answer is now a stream, read by this meter; null: a stream that nothing reads. */
  startStream(meter: StreamMeter | null): void;
  notes(): Notes;
}

interface MeterDeps {
  readonly call: MeteredCall;
  readonly warnings: readonly string[];
  readonly stalledClientMs: number;
  /** Sends comments meanwhile, perhaps already; null: nothing does. */
  readonly keepAlive: KeepAlive | null;
  readonly now: () => number;
}

const unread: Reading = { usage: null };

/** Reads what the provider bills from its answer. It forwards a stream except for its end; a whole answer waits for its entry. */
export function meter(sent: Sent, deps: MeterDeps): Metered | Promise<Metered> {
  const { answer, attempts } = sent;
  switch (answer.kind) {
    case 'refusal':
      return settled(deps, answer.refusal, endOf(attempts, unread));
    case 'stopped':
      return abandoned(deps, endOf(attempts, unread));
    case 'answer':
      return answer.body.kind === 'whole'
        ? meterWhole(answer, answer.body.bytes, attempts, deps)
        : meterFlow(answer, answer.body, sent, deps);
  }
}

function meterWhole(answer: ProviderAnswer, body: Buffer, attempts: readonly AttemptFact[], deps: MeterDeps): Metered {
  const reading = readHeld(deps.call.dialect, body);
  const end = endOf(attempts, reading);
  if (deps.call.isAbandoned) return abandoned(deps, end);
  const result = { end, code: answer.status < 400 ? 'ok' : 'provider_rejected', status: answer.status } as const;
  if (deps.call.response.headersSent) return { ...result, rest: { kind: 'refusal', refusal: notAStream(answer.status, body.toString()) } };
  return {
    ...result,
    responseSha256: hash('sha256', body),
    rest: { kind: 'whole', status: answer.status, headers: answer.headers, body },
  };
}

/** What ends a stream that a comment has begun, if the provider's answer is none. */
function notAStream(status: number, body: string): Refusal {
  const { message } = readError(body);
  const what = status < 400 ? 'did not stream its answer' : `rejected the call (${status})`;
  return refuse('provider_error', `The provider ${what}${message === '' ? '.' : `: ${message}`}`);
}

async function meterFlow(answer: ProviderAnswer, body: FlowingBody, { attempts, candidate }: Sent, deps: MeterDeps): Promise<Metered> {
  const { call } = deps;
  call.startStream(answer.meter);
  const hasBegun = call.response.headersSent;
  const fits = !hasBegun || (answer.status < 300 && answer.meter !== null);
  if (!call.isAbandoned && !hasBegun)
    call.response.writeHead(answer.status, [...answer.headers, ...noteHeaders({ ...call.notes(), warnings: deps.warnings })]);
  const relayed = fits ? await relay(body, deps) : { end: await body.pipe(() => true), facts: {} };
  const end = endOfFlow(answer.meter, relayed.end, { attempts, stopsAtError: candidate.provider.stopsAtError === true });
  if (call.isAbandoned) return { ...abandoned(deps, end), ...relayed.facts };
  if (relayed.end !== 'complete') return { ...settled(deps, interrupted(relayed.end), end), ...relayed.facts };
  if (!fits) return settled(deps, notAStream(answer.status, ''), end);
  const failed = answer.status >= 400 || answer.meter?.errorBody !== undefined;
  return { end, code: failed ? 'provider_rejected' : 'ok', status: answer.status, ...relayed.facts, rest: { kind: 'end' } };
}

interface Relayed {
  readonly end: BodyEnd;
  readonly facts: { readonly firstByteMs: number | undefined; readonly responseSha256: string };
}

/** Forwards a body at the client's pace, while its meter reads it. It never holds more than one chunk. */
async function relay(body: FlowingBody, { call, now, stalledClientMs, keepAlive }: MeterDeps): Promise<Relayed> {
  const { response } = call;
  const digest = createHash('sha256');
  let firstByteMs: number | undefined;
  let stalled: NodeJS.Timeout | undefined;
  const resume = (): void => {
    clearTimeout(stalled);
    stalled = undefined;
    body.resume();
  };
  response.on('drain', resume);
  response.on('close', resume);
  const end = await body.pipe((chunk) => {
    // The client no longer reads: drop the bytes and continue to meter.
    if (call.isAbandoned) return true;
    firstByteMs ??= now();
    digest.update(chunk);
    keepAlive?.onPassed(chunk);
    if (response.write(chunk)) return true;
    stalled ??= setTimeout(() => response.destroy(), stalledClientMs);
    return false;
  });
  clearTimeout(stalled);
  response.off('drain', resume);
  response.off('close', resume);
  return { end, facts: { responseSha256: digest.digest('hex'), firstByteMs } };
}

/** How a call ended whose answer flowed. Only the provider's own end of the stream makes its usage final. */
function endOfFlow(
  meter: StreamMeter | null,
  bodyEnd: BodyEnd,
  { attempts, stopsAtError }: { readonly attempts: readonly AttemptFact[]; readonly stopsAtError: boolean },
): CallEnd {
  const reading = meter?.reading() ?? unread;
  const asAnswered = endOf(attempts, reading);
  // What began as a free error is none once usage or content follows it.
  const wentOn = reading.usage !== null || meter?.phase === 'content';
  const ran = asAnswered.kind === 'measured' || (asAnswered.kind === 'free' && wentOn);
  if (!ran) return asAnswered;
  if (bodyEnd !== 'complete' || meter === null) return { kind: 'unknown', reading };
  if (meter.complete && reading.usage !== null) return { kind: 'measured', reading };
  const { outputTokens, ended, errorBody } = meter;
  const hasEnded = errorBody === undefined ? ended : stopsAtError;
  return hasEnded && outputTokens !== null ? { kind: 'streamed', reading, outputTokens } : { kind: 'unknown', reading };
}

/** How the call ended, by its last attempt: the provider definitely refused the earlier ones. */
function endOf(attempts: readonly AttemptFact[], reading: Reading): CallEnd {
  const outcome = attempts.at(-1)?.outcome;
  if (outcome === 'answered') return { kind: 'measured', reading };
  return { kind: outcome === 'unknown' ? 'unknown' : 'free', reading };
}

function settled(deps: MeterDeps, refusal: Refusal, end: CallEnd): Metered {
  if (deps.call.isAbandoned) return abandoned(deps, end);
  return { end, code: refusal.code, status: refusalTable[refusal.code].status, rest: { kind: 'refusal', refusal } };
}

/** The result of an abandoned call: nobody waits for the rest. */
function abandoned({ call }: MeterDeps, end: CallEnd): Metered {
  return { end, ...call.abandonedAs, rest: { kind: 'nothing' } };
}

function interrupted(end: BodyEnd): Refusal {
  return end === 'timeout'
    ? refuse('provider_timeout', 'The provider stopped sending in the middle of its answer.')
    : refuse('provider_error', 'The provider broke off in the middle of its answer.');
}
