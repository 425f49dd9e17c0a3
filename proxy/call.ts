import type { ServerResponse } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import type { CallCode, PaidFrom, RecordedBreach } from '../core/audit/types.ts';
import { type Refusal, refusalTable, refuse } from '../core/errors.ts';
import type { NanoUsd } from '../core/money.ts';
import type { KeyName, TokenId } from '../core/names.ts';
import { sharersOf } from '../core/policy/check.ts';
import type { KeyDocument } from '../core/policy/documents.ts';
import { knownModel } from '../core/policy/route.ts';
import type { Exchange, ProxyContext } from './context.ts';
import type { CallRoute } from './dialect/routes.ts';
import type { Dialect, Framing, StreamMeter } from './dialect/types.ts';
import { SpoolUnavailable } from './evidence/spool/spool.ts';
import type { ActiveKey, InFlight } from './link/active-keys.ts';
import { type CallOutcome, type CallRequest, callBody } from './stages/audit.ts';
import type { Caller } from './stages/authenticate.ts';
import { type Notes, type Recipient, respondFailure } from './stages/respond.ts';
import type { AttemptFact, Flight } from './upstream/types.ts';

/** In metrics and counted refusals, for a model that only its caller names. */
const unnamed = 'other';

/** What is known of a request once it was read. */
interface ReadFacts {
  requestSha256?: string | undefined;
  stream?: boolean | undefined;
  model?: string | undefined;
}

const nothingSent = { settlement: { costNano: 0, usage: null, estimated: false }, paidFrom: [], attempts: [] } as const;

/** One call of one key: its client, the content of its entry, and how it ends early. */
export class Call implements InFlight, Recipient, Disposable {
  readonly requestId: string;
  readonly tokenId: TokenId;
  readonly dialect: Dialect;
  readonly response: ServerResponse;
  readonly #context: ProxyContext;
  readonly #key: ActiveKey;
  readonly #request: CallRequest & ReadFacts;
  #stream: StreamMeter | null = null;
  #clientLeft = false;
  #revokedFor: Refusal | null = null;
  #flight: Flight | null = null;
  /** The limits of concurrent calls that count this one. */
  #countedIn: KeyDocument['concurrentCalls'];
  #endDrain: (() => void) | null = null;
  #finished: PromiseWithResolvers<void> | null = null;
  /** Made when something waits for the end. */
  #abandoned: AbortController | null = null;
  readonly #counts: AttemptFact[] = [];
  /** Handles `close` without a finished answer: the client has left. */
  readonly #onClose = (): void => {
    if (this.response.writableFinished) return;
    this.#clientLeft = true;
    this.#exit();
    this.#abandoned?.abort();
    this.#drainFlight();
  };

  /** Begins the call. From now on a revocation can end it. */
  constructor(context: ProxyContext, { request, response, requestId }: Exchange, route: CallRoute, { active, tokenId }: Caller) {
    this.requestId = requestId;
    this.tokenId = tokenId;
    this.dialect = route.dialect;
    this.response = response;
    this.#context = context;
    this.#key = active;
    const traceparent = request.headers['traceparent'];
    this.#request = {
      requestId,
      startedMs: context.now(),
      document: active.document,
      tokenId,
      endpoint: route.endpoint,
      dialect: route.dialect.id,
      traceparent: typeof traceparent === 'string' ? traceparent : undefined,
      requestSha256: undefined,
      stream: undefined,
      model: undefined,
    };
    active.inFlight.add(this);
    response.on('close', this.#onClose);
  }

  /** True once nobody waits for the answer: the client has left, or has received the reason for a revocation. */
  get isAbandoned(): boolean {
    return this.#clientLeft || this.#revokedFor !== null;
  }

  /** Aborted once `isAbandoned`. */
  get abandoned(): AbortSignal {
    this.#abandoned ??= new AbortController();
    if (this.isAbandoned) this.#abandoned.abort();
    return this.#abandoned.signal;
  }

  get key(): KeyName {
    return this.#key.key;
  }

  /** How an abandoned call ends: with the reason of its revocation, or with 499 (as in nginx) if its client left. */
  get abandonedAs(): { readonly code: CallCode; readonly status: number } {
    const reason = this.#revokedFor;
    return reason === null ? { code: 'client_disconnected', status: 499 } : { code: reason.code, status: refusalTable[reason.code].status };
  }

  /** The framing of the answer's stream; `sse` until it begins. */
  get framing(): Framing {
    return this.#stream?.framing ?? 'sse';
  }

  /** Resolves when the call is settled and recorded. */
  get finished(): Promise<void> {
    this.#finished ??= Promise.withResolvers();
    return this.#finished.promise;
  }

  /** Counts the call in the limits of concurrent calls, until its end or until nobody waits for its answer. Null: it may go on. */
  enter(): Refusal | null {
    const limits = this.#request.document.concurrentCalls;
    if (limits === undefined || this.isAbandoned) return null;
    const refusal = this.#context.concurrentCalls.enter(limits);
    if (refusal === null) this.#countedIn = limits;
    return refusal;
  }

  #exit(): void {
    const limits = this.#countedIn;
    this.#countedIn = undefined;
    if (limits !== undefined) this.#context.concurrentCalls.leave(limits);
  }

  /** Adds facts of the request to the entry. */
  note(more: ReadFacts): void {
    Object.assign(this.#request, more);
  }

  /** Adds the provider's count of this call's input to the entry. */
  noteCount(attempt: AttemptFact): void {
    this.#counts.push(attempt);
  }

  /** The headers that KeyForge adds to every answer of this call. */
  notes(): Notes {
    return { requestId: this.requestId, remainingNano: this.#key.funds.remainingNano() };
  }

  /** Notes that the answer is now a stream, read by this meter; null: a stream that nothing reads. */
  startStream(meter: StreamMeter | null): void {
    this.#stream = meter;
  }

  /** Replaces the current flight. Once nobody waits for the answer, possibly at once, the drains take it. */
  attach(flight: Flight): void {
    this.#endDrain?.();
    this.#endDrain = null;
    this.#flight = flight;
    if (this.isAbandoned) this.#drainFlight();
  }

  #drainFlight(): void {
    const flight = this.#flight;
    this.#flight = null;
    if (flight === null) return;
    // The client left after the provider's own end: the rest is a few bytes, and the usage is known.
    if (flight.onDisconnect === 'Cancel' && this.#stream?.complete !== true) flight.stop();
    else this.#endDrain = this.#context.drains.take(sharersOf(this.#key.document), flight);
  }

  /** Ends the call now, with the reason as its answer. Does nothing if the answer is sent or nobody waits for it. */
  revoke(reason: Refusal): void {
    if (this.isAbandoned || this.response.writableEnded) return;
    this.#revokedFor = reason;
    this.#exit();
    this.#abandoned?.abort();
    respondFailure(this, reason, { requestId: this.requestId });
    this.#drainFlight();
  }

  /** Ends the call before anything was sent, with one entry and one answer. */
  async deny(refusal: Refusal): Promise<void> {
    // If the stream cannot be opened, the refusal is sent without a record: no call was served.
    const open = (await this.#key.funds.ready()) === null;
    const { code, limitedBy } = refusal;
    const recorded = !open || this.record({ ...nothingSent, code, status: refusalTable[code].status, limitedBy });
    await this.slow();
    if (recorded) respondFailure(this, refusal, this.notes());
  }

  /** Waits before the answer of a call that was not served, where its key makes many of them. */
  async slow(): Promise<void> {
    const { headers, socket } = this.response.req;
    const delayMs = this.#context.pace.delayMs(this.key, Number(headers['content-length'] ?? 0));
    if (delayMs === 0 || this.isAbandoned) return;
    // Where connections are short, this one gives way.
    this.#context.connections.rest(socket);
    await pause(delayMs);
  }

  /** Ends a call that was abandoned before anything was sent, with one entry and no answer. */
  async leave(): Promise<void> {
    if ((await this.#key.funds.ready()) === null) this.record({ ...nothingSent, ...this.abandonedAs });
  }

  /** Charges a call at its bound, because a defect ended it after it was sent. */
  lose(paidFrom: readonly PaidFrom[], costNano: NanoUsd): void {
    this.record({
      code: 'internal_error',
      status: 500,
      settlement: { costNano, usage: null, estimated: true },
      paidFrom,
      attempts: [],
    });
  }

  /** Writes the entry, or counts the refusal with others of its kind. Returns false if it cannot be written; the answer was then an error. */
  record(outcome: CallOutcome): boolean {
    const nowMs = this.#context.now();
    this.#count(outcome, nowMs);
    if (outcome.breach !== undefined) this.#alarm(outcome.breach, outcome.knownAs);
    if (this.#isCounted(outcome)) return true;
    try {
      this.#key.funds.record(callBody(this.#request, outcome, { counts: this.#counts, nowMs }));
      return true;
    } catch (error) {
      if (!(error instanceof SpoolUnavailable)) throw error;
      const { requestId } = this;
      this.#context.logger.error({ requestId, key: this.#key.key, err: error }, 'the spool cannot take an audit entry; the proxy retries');
      const refusal = refuse('audit_unavailable', 'KeyForge cannot write the audit record of this call and withholds its answer.');
      respondFailure(this, refusal, { requestId });
      return false;
    }
  }

  /** True if this is one more refusal of many: no provider received anything of the call, and nothing paid for it. */
  #isCounted({ code, paidFrom, settlement, attempts }: CallOutcome): boolean {
    if (code === 'ok' || attempts.length + this.#counts.length + paidFrom.length > 0) return false;
    if (settlement.costNano > 0 || settlement.estimated) return false;
    const { document, endpoint, model } = this.#request;
    const known = model === undefined ? undefined : (knownModel(document, this.#context.activeKeys.pools, model) ?? unnamed);
    return this.#key.funds.countRefusal(this.requestId, { code, endpoint, model: known, tokenId: this.tokenId });
  }

  #alarm(breach: RecordedBreach, knownAs = unnamed): void {
    const { metrics, logger } = this.#context;
    metrics.countBreach(breach.pool, knownAs);
    logger.error({ requestId: this.requestId, key: this.#key.key, ...breach }, 'a bill was above its bound: it is charged in full');
  }

  #count({ code, knownAs = unnamed, settlement, firstByteMs }: CallOutcome, nowMs: number): void {
    const { startedMs, endpoint } = this.#request;
    this.#context.metrics.countCall({
      key: this.#key.key,
      endpoint,
      code,
      model: settlement.usage === null && settlement.costNano === 0 ? undefined : knownAs,
      usage: settlement.usage,
      costNano: settlement.costNano,
      latencyMs: nowMs - startedMs,
      ttftMs: firstByteMs === undefined ? undefined : firstByteMs - startedMs,
    });
  }

  [Symbol.dispose](): void {
    this.#exit();
    this.#endDrain?.();
    this.#key.inFlight.delete(this);
    this.response.off('close', this.#onClose);
    this.#finished?.resolve();
  }
}
