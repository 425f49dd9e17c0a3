import { type Refusal, refuse } from '../../core/errors.ts';
import { defined, parseJson } from '../../core/json.ts';
import type { NoneLeft } from '../credentials/pool.ts';
import type { SecretForms } from '../credentials/secret-forms.ts';
import { decodeWhole } from '../intake/encoding.ts';
import { readError } from '../provider/error-body.ts';
import { isFree, showsWork } from '../provider/error-cost.ts';
import type { Verdict } from '../provider/types.ts';
import { headersForClient } from '../stages/headers.ts';
import type { AttemptResult } from './attempt.ts';
import { jsonText } from './body.ts';
import { Redactor } from './redactor.ts';
import type { AttemptFact, FlowingBody, ProviderAnswer, UpstreamCall, UpstreamOutcome, WholeBody } from './types.ts';

type Fact = Pick<AttemptFact, 'status' | 'outcome' | 'code'>;
type Answered = Extract<AttemptResult, { kind: 'answered' }>;

/** What to do after an attempt: end the call with it, possibly after it was sent again, or try the next credential. */
export type Judged =
  | { readonly kind: 'lost'; readonly answer: UpstreamOutcome; readonly fact: Fact }
  | { readonly kind: 'final'; readonly answer: UpstreamOutcome; readonly fact: Fact }
  | { readonly kind: 'rotate'; readonly verdict: Verdict; readonly body?: string; readonly answer: UpstreamOutcome; readonly fact: Fact };

interface At {
  /** The credential, so that no answer repeats it. */
  readonly secret: SecretForms;
  readonly nowMs: number;
}

/** Maximum wait for which a client is advised to retry automatically. */
const worthWaitingMs = 60_000;

/** OpenRouter's failures after it accepted a call start like this; its answers start with their id. */
const startsAsError = /^\s*\{\s*"error"\s*:\s*\{/;

/** Reads one attempt's result. Pure. */
export function judge(call: UpstreamCall, result: AttemptResult, at: At): Judged {
  if (result.kind === 'failed') return judgeFailure(call, result);
  if (result.meter?.phase === 'error') return judgeError(call, result, result.meter.errorBody ?? '', at);
  if (result.status < 300 && result.body.kind === 'whole' && startsAsError.test(result.body.bytes.toString('latin1', 0, 32))) {
    return judgeError(call, result, result.body.bytes.toString(), at);
  }
  const { status } = result;
  const answer = answerOf(result, at.secret);
  if (status < 300) return { kind: 'final', answer, fact: { status, outcome: 'answered' } };
  const body = answer.body.kind === 'whole' ? answer.body.bytes.toString() : '';
  if (status >= 400) return judgeError(call, result, body, at);
  const message = `The provider of pool ${call.pool.pool} sent a redirect (${status}), which KeyForge does not follow: correct the pool's endpoint.`;
  return final(refuse('provider_error', message, { retryable: false }), {
    status,
    ...chargeFor(call, result, body),
    code: `http_${status}`,
  });
}

function judgeFailure(call: UpstreamCall, { end, sent, lostOnReused, code, status }: Extract<AttemptResult, { kind: 'failed' }>): Judged {
  const fact: Fact = { outcome: sent ? 'unknown' : 'not_sent', ...defined({ status }) };
  if (end === 'stopped') return { kind: 'final', answer: { kind: 'stopped' }, fact };
  const provider = `The provider of pool ${call.pool.pool}`;
  if (end === 'timeout') return final(refuse('provider_timeout', `${provider} gave no answer in time.`), fact);
  const what = sent ? 'broke off before its answer was complete' : 'is unreachable';
  const refusal = refuse('provider_error', `${provider} ${what} (${/^[A-Z0-9_]+$/.test(code) ? code : 'network error'}).`);
  return { ...final(refusal, fact), kind: lostOnReused ? 'lost' : 'final' };
}

/**
 * Judges an error: an answer with an error status, or a 200 that is really an error, as the first event of a stream or in
 * place of an answer. The client has seen none of it. Only what costs nothing is tried elsewhere.
 */
function judgeError(call: UpstreamCall, result: Answered, body: string, at: At): Judged {
  const { status, headers } = result;
  const verdict = call.provider.classify({ status, headers, body, nowMs: at.nowMs });
  const fact: Fact = { status, ...chargeFor(call, result, body), code: verdict.code };
  const costsNothing = fact.outcome === 'refused';
  // The status would blame the caller's own key.
  const answer: UpstreamOutcome =
    status === 401 ? { kind: 'refusal', refusal: refuseRequest(call, body, at) } : answerOf(result, at.secret);
  if (costsNothing && rotates(verdict))
    return { kind: 'rotate', verdict, answer, fact, ...defined({ body: jsonText(at.secret.removed(Buffer.from(body))) }) };
  const isOutage = costsNothing && verdict.kind === 'overloaded' && answer.kind === 'answer';
  return { kind: 'final', answer: isOutage ? { ...answer, isOutage } : answer, fact };
}

/** What an error costs: what it says that it used; otherwise by the provider's row, but never nothing where the model has run. */
function chargeFor(call: UpstreamCall, result: Answered, body: string): Pick<Fact, 'outcome'> {
  const { status, meter } = result;
  const { usage } = meter?.reading() ?? call.meters.whole(Buffer.from(body));
  if (usage !== null) return { outcome: 'answered' };
  // Of a body that is too large to hold, nobody knows yet what it shows.
  if (result.body.kind === 'flowing' && meter?.phase !== 'error') return { outcome: 'unknown' };
  const free = !showsWork(parseJson(body)) && isFree(call.provider, call.pool, { status: status < 300 ? 200 : status, body });
  return { outcome: free ? 'refused' : 'unknown' };
}

function rotates(verdict: Verdict): boolean {
  return verdict.kind !== 'caller' && verdict.kind !== 'overloaded';
}

/** The part of an answer that the client may see. It never contains the credential. */
function answerOf({ status, headers, body, meter }: Answered, secret: SecretForms): ProviderAnswer {
  const forClient = headersForClient(headers).map((text) => secret.within(text));
  const encoding = headers['content-encoding'] ?? 'identity';
  const decoded = body.kind === 'whole' && encoding !== 'identity' ? decodeWhole(body.bytes, encoding) : null;
  if (encoding !== 'identity' && decoded === null) forClient.push('content-encoding', encoding);
  return { kind: 'answer', status, headers: forClient, body: bodyWithoutSecret(body, decoded, secret), meter };
}

function bodyWithoutSecret(body: WholeBody | FlowingBody, decoded: Buffer | null, secret: SecretForms): WholeBody | FlowingBody {
  if (body.kind === 'whole') return { kind: 'whole', bytes: secret.removed(decoded ?? body.bytes) };
  const pipe: FlowingBody['pipe'] = async (write) => {
    const redactor = new Redactor(secret);
    const end = await body.pipe((chunk) => {
      const clean = redactor.push(chunk);
      return clean.length === 0 || write(clean);
    });
    const held = redactor.flush();
    if (held !== null) write(held);
    return end;
  };
  return { kind: 'flowing', pipe, resume: () => body.resume() };
}

function final(refusal: Refusal, fact: Fact): Extract<Judged, { kind: 'final' }> {
  return { kind: 'final', answer: { kind: 'refusal', refusal }, fact };
}

const maxQuotedLength = 300;

/** The refusal if the provider accepts the credential, but not this request with it: a missing scope, a model's permission. */
function refuseRequest({ pool, model }: UpstreamCall, body: string, { secret }: At): Refusal {
  const said = secret.removed(Buffer.from(readError(body).message.slice(0, maxQuotedLength))).toString();
  const message = `The provider of pool ${pool.pool} rejects this request for ${model} with the pool's credential: ${said}`;
  return refuse('provider_unauthorized', message);
}

/** The refusal if a call found no free connection for its whole wait. */
export function refuseBusy({ key, pool }: UpstreamCall): Refusal {
  const message = `Every connection that ${key} may use to the provider of pool ${pool.pool} is busy: retry, or run fewer calls at a time.`;
  return refuse('overloaded', message, { retryAfterSeconds: 1 });
}

/** The refusal if no credential of the pool is usable: all rejected, or all limited. `lastBody`: the last error body in this call. */
export function refuseAll(
  call: UpstreamCall,
  { none, lastBody, nowMs }: { readonly none: NoneLeft; readonly lastBody: string | undefined; readonly nowMs: number },
): Refusal {
  const pool = call.pool.pool;
  if (none.unauthorized) {
    return refuse('provider_unauthorized', `The provider rejects every credential of pool ${pool}: the pool's owner must renew them.`);
  }
  const kept = defined({ providerBody: lastBody ?? none.providerBody });
  if (none.retryAtMs === undefined) {
    return refuse('provider_limited', `Every credential of pool ${pool} is out of money or quota at its provider.`, {
      retryable: false,
      ...kept,
    });
  }
  const waitMs = Math.max(1000, none.retryAtMs - nowMs);
  return refuse(
    'provider_limited',
    `The provider limits every credential of pool ${pool} for ${call.model}: retry after the time in Retry-After.`,
    {
      retryAfterSeconds: Math.ceil(waitMs / 1000),
      retryable: waitMs <= worthWaitingMs,
      ...kept,
    },
  );
}
