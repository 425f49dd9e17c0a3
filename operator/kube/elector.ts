import type { Logger } from 'pino';
import { claim, released, specOf } from './lease.ts';
import { pause } from './pause.ts';
import { leases } from './resources.ts';
import { type KubeClient, KubeError, type KubeObject } from './types.ts';
import { within } from './within.ts';

export interface ElectorOptions {
  /** One of its own: renewals must not wait for a connection behind lists. */
  readonly client: KubeClient;
  readonly namespace: string;
  /** Of the Lease. */
  readonly name: string;
  /** Unique to this life of this process. */
  readonly identity: string;
  /** How long others wait after the last renewal that they saw; 15,000. A whole number of seconds. */
  readonly leaseMs?: number;
  /** A leader that could not renew for so long stops; 10,000. */
  readonly renewDeadlineMs?: number;
  /** Between renewals, and between looks of a candidate; 2,000. */
  readonly retryMs?: number;
  /** Of one attempt; 2,000. */
  readonly requestTimeoutMs?: number;
  /** Leading has begun; `signal` is aborted when it ends. Where it returns a promise, this process is no candidate before that settles. */
  readonly onStarted: (signal: AbortSignal) => void | Promise<void>;
  /** Leading has ended, `signal` is aborted. Must not throw. */
  readonly onStopped: () => void;
  readonly logger: Logger;
  /** Wall clock, for the times that the Lease shows people. Nothing is decided by it. */
  readonly clock: () => number;
  readonly random?: () => number;
}

/** One candidate for a Lease. */
export interface Elector {
  start(): void;
  /** Whether the Lease is certainly ours at this moment: look before each write, for a process that was stopped learns of it late. */
  leads(): boolean;
  /** Stops leading, waits for what onStarted began, then hands the Lease back. */
  close(): Promise<void>;
}

interface Term {
  readonly ended: AbortController;
  work: Promise<void>;
  timer: NodeJS.Timeout | undefined;
  lease: KubeObject;
  /** Monotonic; nobody else leads before this plus lease minus deadline. */
  untilMs: number;
}

/**
 * Leader election over a Lease, by client-go's rules: a candidate waits until the Lease has not changed for its whole duration
 * by the candidate's own monotonic clock, and the times written in it decide nothing. A leader's time counts from *before* it
 * sent its last renewal, and ends renewDeadlineMs later whatever requests are open; others count leaseMs from after they saw it.
 */
export function createElector(options: ElectorOptions): Elector {
  const { client, namespace, name, identity, onStarted, onStopped, logger, clock, random = Math.random } = options;
  const { leaseMs = 15_000, renewDeadlineMs = 10_000, retryMs = 2_000, requestTimeoutMs = 2_000 } = options;
  if (renewDeadlineMs + requestTimeoutMs + retryMs >= leaseMs)
    throw new RangeError('elector: deadline + request + retry must be under the lease');
  if (renewDeadlineMs <= retryMs + requestTimeoutMs) throw new RangeError('elector: the deadline leaves no time to renew');
  if (leaseMs % 1_000 !== 0) throw new RangeError('elector: the lease must be whole seconds');
  const at = { namespace, name };
  const closing = new AbortController();
  let seen = { print: '', sinceMs: 0 };
  let term: Term | null = null;
  let running = Promise.resolve();

  const leads = () => term !== null && !term.ended.signal.aborted && performance.now() < term.untilMs;
  /** A request that arrives late does no harm: its resourceVersion is checked, and it only makes others wait longer. */
  const write = (current: KubeObject | null) => {
    const lease = claim(at, current, { identity, leaseMs, nowMs: clock() });
    return within(requestTimeoutMs, current === null ? client.create(leases, lease) : client.replace(leases, lease));
  };

  /** The Lease once it is ours; null while another may lead. One held in our name counts as another's: only this life's own claim counts. */
  async function tryToLead(): Promise<{ readonly lease: KubeObject; readonly sentMs: number } | null> {
    const current = await within(requestTimeoutMs, client.get(leases, at));
    if (current !== null && !isFree(current)) return null;
    const sentMs = performance.now();
    return { lease: await write(current), sentMs };
  }

  function isFree(lease: KubeObject): boolean {
    const { holderIdentity = '', leaseDurationSeconds = leaseMs / 1_000 } = specOf(lease);
    const print = `${lease.metadata.uid}/${lease.metadata.resourceVersion}`;
    if (print !== seen.print) seen = { print, sinceMs: performance.now() };
    return holderIdentity === '' || performance.now() >= seen.sinceMs + leaseDurationSeconds * 1_000;
  }

  function begin(lease: KubeObject, sentMs: number): Term {
    const begun: Term = { ended: new AbortController(), work: Promise.resolve(), lease, untilMs: 0, timer: undefined };
    term = begun;
    extend(begun, sentMs);
    logger.info({ lease: name, identity }, 'leading');
    begun.work = Promise.resolve(begun.ended.signal)
      .then(onStarted)
      .catch((error) => {
        logger.error({ err: error, lease: name }, 'the work of the leader failed');
        end(begun, 'is of no use to a leader whose work failed');
      });
    return begun;
  }

  function extend(current: Term, sentMs: number): void {
    clearTimeout(current.timer);
    current.untilMs = sentMs + renewDeadlineMs;
    current.timer = setTimeout(() => end(current, 'could not be renewed in time'), current.untilMs - performance.now());
  }

  /** Synchronous: when it returns, everything that heeds the signal has been told. */
  function end(ending: Term, why: string): void {
    clearTimeout(ending.timer);
    if (ending.ended.signal.aborted) return;
    ending.ended.abort(new Error(`no longer leading: the Lease ${why}`));
    logger.warn({ lease: name, identity, why }, 'no longer leading');
    onStopped();
  }

  async function renew(current: Term): Promise<void> {
    const sentMs = performance.now();
    const lease = await write(current.lease);
    if (current.ended.signal.aborted) return;
    current.lease = lease;
    extend(current, sentMs);
  }

  /** After a refusal: an answer that got lost may have been ours; anything else is the end. */
  async function lookAgain(current: Term): Promise<void> {
    const lease = await within(requestTimeoutMs, client.get(leases, at));
    if (lease !== null && specOf(lease).holderIdentity === identity) current.lease = lease;
    else end(current, 'went to another');
  }

  async function lead(current: Term): Promise<void> {
    const over = AbortSignal.any([closing.signal, current.ended.signal]);
    while (!over.aborted) {
      await pause(retryMs, over);
      if (over.aborted) break;
      await renew(current).catch(async (error: Error) => {
        logger.warn({ lease: name, error: error.message }, 'the Lease was not renewed');
        if (error instanceof KubeError && (error.status === 409 || error.status === 404)) await lookAgain(current).catch(() => undefined);
      });
    }
    const mayRelease = leads();
    end(current, 'is given up');
    await current.work;
    term = null;
    if (mayRelease && closing.signal.aborted) await handBack(current.lease);
  }

  async function handBack(lease: KubeObject): Promise<void> {
    await within(requestTimeoutMs, client.replace(leases, released(lease, clock()))).catch((error: Error) =>
      logger.info({ lease: name, error: error.message }, 'the Lease was not handed back; it runs out'),
    );
  }

  async function run(): Promise<void> {
    while (!closing.signal.aborted) {
      const won = await tryToLead().catch((error: Error) => {
        logger.debug({ lease: name, error: error.message }, 'no candidate at the moment');
        return null;
      });
      if (won !== null) await lead(begin(won.lease, won.sentMs));
      await pause(retryMs * (1 + random() / 5), closing.signal);
    }
  }

  return {
    start: () => {
      running = run();
    },
    leads,
    async close() {
      closing.abort();
      await running;
    },
  };
}
