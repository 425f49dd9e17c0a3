import type { Logger } from 'pino';
import { claim, released, specOf } from './lease.ts';
import { leases } from './resources.ts';
import { pause, within } from './timing.ts';
import { type KubeClient, KubeError, type KubeObject } from './types.ts';

export interface ElectorOptions {
  /** A separate client, so that renewals never wait for a connection behind lists. */
  readonly client: KubeClient;
  readonly namespace: string;
  /** Of the Lease. */
  readonly name: string;
  /** Unique to this process. */
  readonly identity: string;
  /** How long other candidates wait after the last renewal that they saw; default 15,000. A whole number of seconds. */
  readonly leaseMs?: number;
  /** A leader that cannot renew for this time stops leading; default 10,000. */
  readonly renewDeadlineMs?: number;
  /** Between renewals, and between a candidate's attempts; default 2,000. */
  readonly retryMs?: number;
  /** Timeout of one attempt; default 2,000. */
  readonly requestTimeoutMs?: number;
  /** Called when a term begins; `signal` is aborted at its end. If it returns a promise, this process is no candidate until that settles. */
  readonly onStarted: (signal: AbortSignal) => void | Promise<void>;
  /** Called when the term has ended and `signal` is aborted. Must not throw. */
  readonly onStopped: () => void;
  readonly logger: Logger;
  /** Wall clock, only for the times in the Lease that people read. It decides nothing. */
  readonly clock: () => number;
  readonly random?: () => number;
}

/** One candidate for a Lease. */
export interface Elector {
  start(): void;
  /** True if the Lease is certainly ours now. Check before each write, because a process that was stopped notices late. */
  leads(): boolean;
  /** Stops leading, waits for the work of onStarted, then releases the Lease. */
  close(): Promise<void>;
}

interface Term {
  readonly ended: AbortController;
  /** The work that onStarted began. */
  work: Promise<void>;
  timer: NodeJS.Timeout | undefined;
  lease: KubeObject;
  /** Monotonic; nobody else leads before this plus lease minus deadline. */
  untilMs: number;
}

/**
 * Leader election over a Lease, by client-go's rules. A candidate waits until the Lease has not changed for its whole duration
 * by the candidate's own monotonic clock; the times in the Lease decide nothing. A leader's time counts from *before* it
 * sent its last renewal, and ends renewDeadlineMs later, even with open requests. Others count leaseMs from after they saw it.
 * Throws RangeError if the durations would let two lead at once.
 */
export function createElector(options: ElectorOptions): Elector {
  const durations = durationsOf(options);
  return new Candidate(options, durations);
}

type Durations = Required<Pick<ElectorOptions, 'leaseMs' | 'renewDeadlineMs' | 'retryMs' | 'requestTimeoutMs'>>;

function durationsOf(options: ElectorOptions): Durations {
  const { leaseMs = 15_000, renewDeadlineMs = 10_000, retryMs = 2_000, requestTimeoutMs = 2_000 } = options;
  if (renewDeadlineMs + requestTimeoutMs + retryMs >= leaseMs)
    throw new RangeError('elector: deadline + request + retry must be under the lease');
  if (renewDeadlineMs <= retryMs + requestTimeoutMs) throw new RangeError('elector: the deadline leaves no time to renew');
  if (leaseMs % 1_000 !== 0) throw new RangeError('elector: the lease must be whole seconds');
  return { leaseMs, renewDeadlineMs, retryMs, requestTimeoutMs };
}

class Candidate implements Elector {
  readonly #options: ElectorOptions;
  readonly #durations: Durations;
  readonly #random: () => number;
  readonly #at: { readonly namespace: string; readonly name: string };
  readonly #closing = new AbortController();
  /** The Lease version that another process holds, and the time at which this process first saw it. */
  #seen = { version: '', sinceMs: 0 };
  #term: Term | null = null;
  #running = Promise.resolve();

  constructor(options: ElectorOptions, durations: Durations) {
    this.#options = options;
    this.#durations = durations;
    this.#random = options.random ?? Math.random;
    this.#at = { namespace: options.namespace, name: options.name };
  }

  start(): void {
    this.#running = this.#run();
  }

  leads(): boolean {
    const term = this.#term;
    return term !== null && !term.ended.signal.aborted && performance.now() < term.untilMs;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { logger, name } = this.#options;
    while (!this.#closing.signal.aborted) {
      const won = await this.#tryToLead().catch((error: Error) => {
        logger.debug({ lease: name, error: error.message }, 'this replica cannot be a candidate now; it retries');
        return null;
      });
      if (won !== null) await this.#lead(this.#begin(won.lease, won.sentMs));
      await pause(this.#durations.retryMs * (1 + this.#random() / 5), this.#closing.signal);
    }
  }

  /** Tries to take the Lease; null while another may lead. A Lease in our name counts as another's, unless this process claimed it. */
  async #tryToLead(): Promise<{ readonly lease: KubeObject; readonly sentMs: number } | null> {
    const current = await this.#read();
    if (current !== null && !this.#isFree(current)) return null;
    const sentMs = performance.now();
    return { lease: await this.#claim(current), sentMs };
  }

  #isFree(lease: KubeObject): boolean {
    const { holderIdentity = '', leaseDurationSeconds = this.#durations.leaseMs / 1_000 } = specOf(lease);
    const version = `${lease.metadata.uid}/${lease.metadata.resourceVersion}`;
    if (version !== this.#seen.version) this.#seen = { version, sinceMs: performance.now() };
    return holderIdentity === '' || performance.now() >= this.#seen.sinceMs + leaseDurationSeconds * 1_000;
  }

  #read(): Promise<KubeObject | null> {
    return within(this.#durations.requestTimeoutMs, this.#options.client.get(leases, this.#at));
  }

  /** Claims the Lease. A late request does no harm: the API server checks its resourceVersion, and others only wait longer. */
  #claim(current: KubeObject | null): Promise<KubeObject> {
    const { client, identity, clock } = this.#options;
    const { leaseMs, requestTimeoutMs } = this.#durations;
    const lease = claim(this.#at, current, { identity, leaseMs, nowMs: clock() });
    return within(requestTimeoutMs, current === null ? client.create(leases, lease) : client.replace(leases, lease));
  }

  #begin(lease: KubeObject, sentMs: number): Term {
    const { name, identity, onStarted, logger } = this.#options;
    const begun: Term = { ended: new AbortController(), work: Promise.resolve(), lease, untilMs: 0, timer: undefined };
    this.#term = begun;
    this.#extend(begun, sentMs);
    logger.info({ lease: name, identity }, 'leading');
    begun.work = Promise.resolve(begun.ended.signal)
      // If this process is shutting down, the term has already ended: begin no work.
      .then((signal) => (signal.aborted ? undefined : onStarted(signal)))
      .catch((error) => {
        logger.error({ err: error, lease: name }, 'the work of the leader failed');
        this.#end(begun, 'is released, because the work of the leader failed');
      });
    return begun;
  }

  #extend(term: Term, sentMs: number): void {
    clearTimeout(term.timer);
    term.untilMs = sentMs + this.#durations.renewDeadlineMs;
    term.timer = setTimeout(() => this.#end(term, 'could not be renewed in time'), term.untilMs - performance.now());
  }

  /** Ends a term. Synchronous: when it returns, the signal is aborted and all its listeners have run. */
  #end(term: Term, why: string): void {
    const { name, identity, onStopped, logger } = this.#options;
    clearTimeout(term.timer);
    if (term.ended.signal.aborted) return;
    term.ended.abort(new Error(`no longer leading: the Lease ${why}`));
    logger.warn({ lease: name, identity, why }, 'this replica no longer leads');
    onStopped();
  }

  async #lead(term: Term): Promise<void> {
    const over = AbortSignal.any([this.#closing.signal, term.ended.signal]);
    while (!over.aborted) {
      await pause(this.#durations.retryMs, over);
      if (over.aborted) break;
      await this.#renew(term).catch((error: Error) => this.#notRenewed(term, error));
    }
    const mayRelease = this.leads();
    this.#end(term, 'is released');
    await term.work;
    this.#term = null;
    if (mayRelease && this.#closing.signal.aborted) await this.#release(term.lease);
  }

  async #renew(term: Term): Promise<void> {
    const sentMs = performance.now();
    const lease = await this.#claim(term.lease);
    if (term.ended.signal.aborted) return;
    term.lease = lease;
    this.#extend(term, sentMs);
  }

  async #notRenewed(term: Term, error: Error): Promise<void> {
    this.#options.logger.warn({ lease: this.#options.name, error: error.message }, 'the Lease was not renewed');
    if (error instanceof KubeError && (error.status === 409 || error.status === 404)) await this.#readAgain(term).catch(() => undefined);
  }

  /** Re-reads the Lease after a refusal. If our own renewal took effect but its response was lost, the term continues; otherwise it ends. */
  async #readAgain(term: Term): Promise<void> {
    const lease = await this.#read();
    if (lease !== null && specOf(lease).holderIdentity === this.#options.identity) term.lease = lease;
    else this.#end(term, 'is held by another process');
  }

  async #release(lease: KubeObject): Promise<void> {
    const { client, name, clock, logger } = this.#options;
    await within(this.#durations.requestTimeoutMs, client.replace(leases, released(lease, clock()))).catch((error: Error) =>
      logger.info({ lease: name, error: error.message }, 'the Lease was not released; it will expire'),
    );
  }
}
