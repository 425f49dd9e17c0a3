import type { IncomingMessage, ServerResponse } from 'node:http';
import { isRefusal, type Refusal, refuse } from '../core/errors.ts';
import type { NanoUsd } from '../core/money.ts';
import { checkEndpoint, checkKey, isCapped, sharersOf } from '../core/policy/check.ts';
import type { KeyDocument } from '../core/policy/documents.ts';
import { serveApi } from './api/serve.ts';
import { Call } from './call.ts';
import type { Exchange, ProxyContext } from './context.ts';
import type { JsonBody } from './dialect/json.ts';
import { type CallRoute, callerFamily, matchRoute } from './dialect/routes.ts';
import type { Facts, Family } from './dialect/types.ts';
import { SpoolUnavailable } from './evidence/spool/spool.ts';
import { BodyHold } from './intake/byte-budget.ts';
import { type Admission, type AdmitInput, admit } from './stages/admit.ts';
import type { CallOutcome } from './stages/audit.ts';
import { authenticate, type Caller } from './stages/authenticate.ts';
import { count } from './stages/count.ts';
import { foresee } from './stages/foresee.ts';
import { headersForProvider, queryForProvider } from './stages/headers.ts';
import { hold } from './stages/hold.ts';
import { KeepAlive } from './stages/keep-alive.ts';
import { type Metered, meter } from './stages/meter.ts';
import { receive } from './stages/receive.ts';
import { noteHeaders, respondRefusal, respondRest } from './stages/respond.ts';
import { route as routeCall } from './stages/route.ts';
import { type Reachable, type Sent, send } from './stages/send.ts';
import { asBilled, boundOfOutput, breachIn, settle, tokensOf, withLost } from './stages/settle.ts';
import type { AttemptFact } from './upstream/types.ts';

/** One request, from its arrival to the end of its answer. Never rejects. */
export async function serve(context: ProxyContext, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const exchange: Exchange = { request, response, requestId: context.newId() };
  const route = matchRoute(request.method ?? '', request.url ?? '', request.headers);
  if (isRefusal(route)) return denyUnknown(context, exchange, callerFamily(request.url ?? '', request.headers), route);
  const { activeKeys } = context;
  const caller = activeKeys.revision === 0 ? noPolicy() : authenticate(activeKeys, request, context.now());
  if (isRefusal(caller)) return denyUnknown(context, exchange, route.family, caller);
  context.connections.know(request);
  try {
    if (route.kind === 'call') await serveCall(context, exchange, route, caller);
    else await serveApi(context, exchange, route, caller);
  } catch (error) {
    rescue(context, exchange, route.family, error);
  }
  context.connections.rest(request.socket);
}

/** Runs every stage of a call in order. Each stage is called only here. */
async function serveCall(context: ProxyContext, exchange: Exchange, route: CallRoute, caller: Caller): Promise<void> {
  const { request, requestId } = exchange;
  const { document, funds } = caller.active;
  const { dialect } = route;
  using call = new Call(context, exchange, route, caller);

  const barred = refuseUnread(context, exchange, route, caller);
  if (barred !== null) return await call.deny(barred);
  using bodyHold = new BodyHold(context.bodies, sharersOf(document));
  const bytes = await receive(request, { limitBytes: context.limits.bodyBytes, hold: bodyHold });
  if (bytes === null) return await call.leave();
  if (isRefusal(bytes)) return await call.deny(bytes);
  call.note({ requestSha256: await context.bodyReader.digest(bytes) });
  const body = await context.bodyReader.read(bytes);
  if ('problem' in body) return await call.deny(refuse('invalid_request', body.problem));
  const facts = dialect.read(body, route.action, request.headers);
  if (isRefusal(facts)) return await call.deny(facts);
  call.note({ stream: facts.stream, model: facts.model });

  const candidates = routeCall(document, context.activeKeys.pools, dialect, facts);
  if (isRefusal(candidates)) return await call.deny(candidates);

  const headers = headersForProvider(request.rawHeaders, dialect.family);
  const admission =
    call.enter() ?? (await admit(admissionOf({ context, exchange, route, caller, call, body, facts, candidates, headers })));
  if (isRefusal(admission)) return call.isAbandoned ? await call.leave() : await call.deny(admission);
  using held = hold(funds, admission.reservation, (paidFrom, costNano) => call.lose(paidFrom, costNano));
  if (call.isAbandoned) return await call.leave();

  using keepAlive = startKeepAlive(call, admission, route);
  const sent = await send(context.upstream, {
    document,
    candidates: admission.candidates,
    dialect,
    facts: admission.facts,
    body,
    limits: admission,
    headers,
    query: queryForProvider(dialect.family, route.search),
    onDispatch: () => held.markSent(requestId),
    onFree: () => held.noteFree(requestId),
    onResend: () => !call.isAbandoned && held.reserveAgain({ maxWaitMs: 0 }),
    onFlight: (flight) => call.attach(flight),
  });

  const metered = await meter(sent, {
    call,
    warnings: admission.warnings,
    stalledClientMs: context.limits.stalledClientMs,
    keepAlive,
    now: context.now,
  });

  countAttempts(context, sent.attempts, held.amountNano);
  const { candidate } = sent;
  const end = asBilled(metered.end, admission.facts.demand, candidate.provider);
  const measured = settle(end, candidate.price, held.amountNano, boundOfOutput(candidate, admission.facts.demand));
  const paidFrom = held.settle(measured.costNano, tokensOf(measured.usage));
  const settlement = withLost(measured, held.lostNano);
  const recorded = call.record(
    outcomeOf(metered, sent, {
      settlement,
      paidFrom,
      answerSha256: noteAnswer(context, document, { id: end.reading.answerId, tokens: tokensOf(settlement.usage) }),
      breach: isCapped(document) ? breachIn(candidate, admission, measured) : undefined,
    }),
  );

  if (settlement.costNano === 0 && metered.code !== 'ok') await call.slow();
  if (recorded) respondRest(call, metered.rest, { ...call.notes(), costNano: settlement.costNano, warnings: admission.warnings });
}

/** The second half of authentication, before the body is read: may this key call this endpoint now, and could it pay anything? */
function refuseUnread({ activeKeys, now }: ProxyContext, { request }: Exchange, route: CallRoute, { active }: Caller): Refusal | null {
  const { document } = active;
  return checkKey(document, now()) ?? checkEndpoint(document, route.endpoint) ?? foresee(active, route.dialect, request, activeKeys.pools);
}

/** Null: the pool wants none, or the answer is no stream of events. */
function startKeepAlive(call: Call, { candidates, facts, warnings }: Admission, { dialect, search }: CallRoute): KeepAlive | null {
  const everyMs = facts.stream ? candidates[0]?.pool.sseKeepAliveMs : undefined;
  if (everyMs === undefined) return null;
  if (dialect.streamsEvents?.(queryForProvider(dialect.family, search)) === false) return null;
  return new KeepAlive(call.response, { everyMs, headers: () => noteHeaders({ ...call.notes(), warnings }) });
}

/** The facts of a call's end, for its entry and for metrics. */
function outcomeOf(
  { code, status, firstByteMs, responseSha256, end }: Metered,
  { candidate: { pool, upstreamModel, knownAs }, attempts }: Sent,
  { settlement, paidFrom, answerSha256, breach }: Pick<CallOutcome, 'settlement' | 'paidFrom' | 'answerSha256' | 'breach'>,
): CallOutcome {
  const { servedModel = upstreamModel } = end.reading;
  const priceBook = pool.priceBookDigest;
  return {
    code,
    status,
    firstByteMs,
    responseSha256,
    settlement,
    paidFrom,
    answerSha256,
    breach,
    attempts,
    servedModel,
    knownAs,
    priceBook,
  };
}

/** Remembers an answer that a later request may continue, and names it for the entry. */
function noteAnswer(
  { answerSizes }: ProxyContext,
  { key }: KeyDocument,
  { id, tokens }: { readonly id: string | undefined; readonly tokens: number },
): string | undefined {
  return id === undefined || tokens === 0 ? undefined : answerSizes.note(key, id, tokens);
}

function countAttempts({ metrics }: ProxyContext, attempts: readonly AttemptFact[], boundNano: NanoUsd): void {
  for (const { pool, credential, status, code, outcome } of attempts) {
    metrics.countAttempt(pool, credential, outcome);
    if (outcome === 'refused' && status !== undefined && code !== undefined) metrics.countFreeError({ pool, status, code }, boundNano);
  }
}

/** A call that has been read and routed. */
interface Routed {
  readonly context: ProxyContext;
  readonly exchange: Exchange;
  readonly route: CallRoute;
  readonly caller: Caller;
  readonly call: Call;
  readonly body: JsonBody;
  readonly facts: Facts;
  readonly candidates: readonly Reachable[];
  /** From `headersForProvider`. */
  readonly headers: readonly string[];
}

function admissionOf(routed: Routed): AdmitInput {
  const { context, exchange, route, caller, call, body, facts, candidates, headers } = routed;
  const { document, funds } = caller.active;
  const { dialect } = route;
  const sinceMs = context.monotonic();
  return {
    requestId: exchange.requestId,
    document,
    dialect,
    facts,
    candidates,
    exact: exchange.request.headers['x-keyforge-max-tokens'] === 'exact',
    ready: () => funds.ready(),
    reserve(need, wait) {
      const recheck = (): Refusal | null => checkAgain(routed);
      if (!wait) return funds.reserve(need, { sinceMs, recheck, maxWaitMs: 0 });
      body.drop();
      return funds.reserve(need, { sinceMs, recheck, signal: () => call.abandoned });
    },
    count: (candidate, affinity) => count(context, { candidate, dialect, body, affinity, headers, call, document }),
    tokensOf: (answerId) => context.answerSizes.sizeOf(document.key, answerId),
  };
}

/** What has changed while a call waited for money: key, policy or expiry; null: it may still go where it was routed. */
function checkAgain({ context, route, caller, facts, candidates }: Routed): Refusal | null {
  const { activeKeys, now } = context;
  const { key, document } = caller.active;
  if (activeKeys.byKey(key) !== caller.active) return refuse('key_revoked', `The key ${key} was deleted while this call waited.`);
  const barred = checkKey(document, now()) ?? checkEndpoint(document, route.endpoint);
  if (barred !== null) return barred;
  const allowed = routeCall(document, activeKeys.pools, route.dialect, facts);
  if (isRefusal(allowed)) return allowed;
  const isAllowed = ({ pool, upstreamModel }: Reachable): boolean =>
    allowed.some((candidate) => candidate.pool.pool === pool.pool && candidate.upstreamModel === upstreamModel);
  if (candidates.every(isAllowed)) return null;
  return refuse('policy_stale', `The policy of ${key} changed while this call waited: send it again.`, { retryAfterSeconds: 1 });
}

function noPolicy(): Refusal {
  return refuse('policy_stale', 'The KeyForge operator has not sent any policy yet: try again shortly.', { retryAfterSeconds: 1 });
}

/** Denies a request whose key is unknown. It is counted but not recorded, because it belongs to no stream. */
function denyUnknown(context: ProxyContext, { request, response, requestId }: Exchange, family: Family, refusal: Refusal): void {
  context.metrics.countRefused(refusal.code);
  const delayMs = context.pace.delayMs('', Number(request.headers['content-length'] ?? 0));
  const respond = (): void => respondRefusal(response, family, refusal, { requestId });
  if (delayMs === 0) respond();
  else setTimeout(respond, delayMs);
}

function rescue(context: ProxyContext, { response, requestId }: Exchange, family: Family, error: unknown): void {
  const unrecorded = error instanceof SpoolUnavailable;
  const refusal = unrecorded
    ? refuse('audit_unavailable', 'KeyForge cannot write the audit record of this call, so it refuses the call: try again shortly.')
    : refuse('internal_error', 'KeyForge failed on this request: its log has the details under this request id.');
  context.metrics.countRefused(refusal.code);
  context.logger.error(
    { requestId, err: error },
    unrecorded ? 'the proxy refused a call because the spool cannot take its record' : 'a request failed because of a defect',
  );
  const isBegun = response.headersSent;
  respondRefusal(response, family, refusal, { requestId });
  if (isBegun && !response.writableEnded) response.destroy();
}
