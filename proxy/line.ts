import type { IncomingMessage, ServerResponse } from 'node:http';
import { isRefusal, type Refusal, refuse } from '../core/errors.ts';
import { checkEndpoint, checkKey } from '../core/policy/check.ts';
import { serveOwn } from './api/own.ts';
import { beginCall } from './call.ts';
import type { Io, Line } from './deps.ts';
import { readBody } from './dialect/json.ts';
import { type CallRoute, callerFamily, matchRoute } from './dialect/routes.ts';
import type { Family } from './dialect/types.ts';
import { SpoolUnavailable } from './evidence/spool/spool.ts';
import { admit } from './stages/admit.ts';
import { authenticate, type Caller } from './stages/authenticate.ts';
import { headersForProvider, queryForProvider } from './stages/headers.ts';
import { hold } from './stages/hold.ts';
import { meter } from './stages/meter.ts';
import { receive } from './stages/receive.ts';
import { respondRefusal, respondRest } from './stages/respond.ts';
import { route as routeCall } from './stages/route.ts';
import { send } from './stages/send.ts';
import { settle, tokensOf } from './stages/settle.ts';

/** One request, from its arrival to the end of its answer. Never rejects. */
export async function serve(line: Line, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const io: Io = { request, response, requestId: line.newId() };
  const route = matchRoute(request.method ?? '', request.url ?? '', request.headers);
  if (isRefusal(route)) return turnAway(line, io, callerFamily(request.url ?? '', request.headers), route);
  const caller = line.served.revision === 0 ? notReady() : authenticate(line.served, request.headers, line.now());
  if (isRefusal(caller)) return turnAway(line, io, route.family, caller);
  try {
    if (route.kind === 'call') await serveCall(line, io, route, caller);
    else await serveOwn(line, io, route, caller);
  } catch (error) {
    rescue(line, io, route.family, error);
  }
}

/** Every stage of a call, in the order in which it runs; each is called here and nowhere else. */
async function serveCall(line: Line, io: Io, route: CallRoute, caller: Caller): Promise<void> {
  const { request, response } = io;
  const { document, funds } = caller.served;
  const { dialect } = route;
  using call = beginCall(line, io, route, caller);

  // authenticate, second half: may this key call this endpoint now?
  const barred = checkKey(document, line.now()) ?? checkEndpoint(document, route.endpoint);
  if (barred !== null) return await call.deny(barred);
  const bytes = await receive(request, line.limits.bodyBytes);
  if (bytes === null) return await call.leave();
  if (isRefusal(bytes)) return await call.deny(bytes);
  call.note({ bytes });
  const body = readBody(bytes);
  if ('problem' in body) return await call.deny(refuse('invalid_request', body.problem));
  const facts = dialect.read(body, route.action, request.headers);
  if (isRefusal(facts)) return await call.deny(facts);
  call.note({ stream: facts.stream, model: facts.model });

  const candidates = routeCall(document, line.served.pools, dialect, facts);
  if (isRefusal(candidates)) return await call.deny(candidates);

  const admission = await admit({ document, dialect, facts, candidates, funds });
  if (isRefusal(admission)) return await call.deny(admission);
  using held = hold(funds, admission.reservation, call.lose);
  if (call.exchange.abandoned) return await call.leave();

  const sent = await send(line.upstream, {
    candidates,
    dialect,
    facts,
    body,
    outputTokens: admission.outputTokens,
    searches: admission.searches,
    headers: headersForProvider(request.rawHeaders, dialect.family),
    query: queryForProvider(dialect.family, route.search),
    departs: () => held.depart(io.requestId),
    flies: (flight) => call.exchange.whenAbandoned(() => line.drains.take(flight)),
  });

  const metered = await meter(sent, {
    call,
    dialect,
    response,
    warnings: admission.warnings,
    stalledClientMs: line.limits.stalledClientMs,
    now: line.now,
  });

  const settlement = settle(metered.end, sent.candidate.price, held.amountNano);
  const paidFrom = held.settle(settlement.costNano, tokensOf(settlement.usage));

  const recorded = call.record({
    ...metered,
    settlement,
    paidFrom,
    attempts: sent.attempts,
    priceBook: sent.candidate.pool.priceBookDigest,
    servedModel: metered.end.reading.servedModel ?? sent.candidate.upstreamModel,
  });

  if (!recorded) return;
  const notes = { ...call.notes(), costNano: settlement.costNano, warnings: admission.warnings };
  respondRest(response, metered.rest, call.exchange.streamKind, notes);
}

function notReady(): Refusal {
  return refuse('policy_stale', 'No policy has arrived yet: try again shortly.', { retryAfterSeconds: 1 });
}

/** Refused before any key is known: counted, not recorded, for there is no stream to record it in. */
function turnAway(line: Line, io: Io, family: Family, refusal: Refusal): void {
  line.metrics.countRefused(refusal.code);
  respondRefusal(io.response, family, refusal, { requestId: io.requestId });
}

function rescue(line: Line, io: Io, family: Family, error: unknown): void {
  const { requestId } = io;
  const unrecorded = error instanceof SpoolUnavailable;
  const refusal = unrecorded
    ? refuse('audit_unavailable', 'The audit record cannot be written: nothing is served unrecorded.')
    : refuse('internal_error', 'KeyForge failed on this request; its log has the request id.');
  line.metrics.countRefused(refusal.code);
  line.logger.error(
    { requestId, err: error },
    unrecorded ? 'a call was refused: the spool takes no record' : 'a request failed by a defect',
  );
  respondRefusal(io.response, family, refusal, { requestId });
  if (!io.response.writableEnded) io.response.destroy();
}
