import type { PaidFrom } from '../core/audit/types.ts';
import type { Refusal } from '../core/errors.ts';
import { refusalTable, refuse } from '../core/errors.ts';
import type { NanoUsd } from '../core/money.ts';
import type { Io, Line } from './deps.ts';
import type { CallRoute } from './dialect/routes.ts';
import { SpoolUnavailable } from './evidence/spool/spool.ts';
import { Exchange } from './exchange.ts';
import { type CallAsked, type CallEnded, callBody } from './stages/audit.ts';
import type { Caller } from './stages/authenticate.ts';
import { type Notes, respondRefusal, respondStreamError } from './stages/respond.ts';

/** One call of one key: its exchange, what its entry will say, and the two ways in which it can end. */
export interface Call extends Disposable {
  readonly exchange: Exchange;
  /** Adds to what the entry says of the request. */
  note(more: Partial<Pick<CallAsked, 'bytes' | 'stream' | 'model'>>): void;
  /** Ends the call before anything was sent: one entry, one answer. */
  deny(refusal: Refusal): Promise<void>;
  /** Ends a call that was abandoned before anything was sent: one entry, no answer. */
  leave(): Promise<void>;
  /** Writes the entry; false where it could not be written, the answer was then failed in its place. */
  record(ended: Omit<CallEnded, 'nowMs'>): boolean;
  /** A defect ended a call that had left: charged at its bound. */
  lose(paidFrom: readonly PaidFrom[], costNano: NanoUsd): void;
  notes(): Notes;
}

const unsettled = { settlement: { costNano: 0, usage: null, estimated: false }, paidFrom: [], attempts: [] } as const;

/** Begins a call; from here on revocation can end it. */
export function beginCall(line: Line, io: Io, route: CallRoute, { served, tokenId }: Caller): Call {
  const { request, response, requestId } = io;
  const { dialect } = route;
  const startedMs = line.now();
  const { document, funds } = served;
  const exchange = new Exchange({ request, response, id: requestId, startedMs, tokenId, dialect, inFlight: served.inFlight });
  const traceparent = request.headers['traceparent'];
  let asked: CallAsked = {
    requestId,
    startedMs,
    document,
    tokenId,
    endpoint: route.endpoint,
    dialect: dialect.id,
    traceparent: typeof traceparent === 'string' ? traceparent : undefined,
  };

  function record(ended: Omit<CallEnded, 'nowMs'>): boolean {
    const nowMs = line.now();
    line.metrics.countCall({
      key: served.key,
      endpoint: route.endpoint,
      code: ended.code,
      model: ended.servedModel,
      usage: ended.settlement.usage,
      costNano: ended.settlement.costNano,
      latencyMs: nowMs - startedMs,
      ttftMs: ended.firstByteMs === undefined ? undefined : ended.firstByteMs - startedMs,
    });
    try {
      funds.record(callBody(asked, { ...ended, nowMs }));
      return true;
    } catch (error) {
      if (!(error instanceof SpoolUnavailable)) throw error;
      line.logger.error({ requestId, key: served.key, err: error }, 'an entry waits for the spool');
      const refusal = refuse('audit_unavailable', 'The audit record of this call cannot be written: its answer is withheld.');
      if (response.headersSent) respondStreamError(response, exchange.streamKind, refusal, requestId);
      else respondRefusal(response, dialect.family, refusal, { requestId });
      return false;
    }
  }

  return {
    exchange,
    note(more) {
      asked = { ...asked, ...more };
    },
    async deny(refusal) {
      // A refusal that cannot be recorded because the stream cannot be opened is still a refusal: nothing was served.
      const open = (await funds.ready()) === null;
      const written =
        !open || record({ ...unsettled, code: refusal.code, status: refusalTable[refusal.code].status, limitedBy: refusal.limitedBy });
      if (written) respondRefusal(response, dialect.family, refusal, this.notes());
    },
    async leave() {
      if ((await funds.ready()) !== null) return;
      const { ended } = exchange;
      if (ended === null) record({ ...unsettled, code: 'client_disconnected', status: 499 });
      else record({ ...unsettled, code: ended.code, status: refusalTable[ended.code].status });
    },
    record,
    lose: (paidFrom, costNano) =>
      void record({ ...unsettled, code: 'internal_error', status: 500, settlement: { costNano, usage: null, estimated: true }, paidFrom }),
    notes: () => ({ requestId, remainingNano: funds.remainingNano() }),
    [Symbol.dispose]: () => exchange[Symbol.dispose](),
  };
}
