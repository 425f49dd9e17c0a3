import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Channel } from '../../core/protocol/channel.ts';
import { type ControlPort, ControlUnavailable } from '../../core/protocol/control.ts';
import { type SessionTimings, sessionTimings } from '../../core/protocol/session.ts';
import { type ControlClient, connectControl } from './client.ts';
import { connectOnce, type Ending } from './connection.ts';
import { createWatches } from './watches.ts';

/** How it stands with the operator; `reason` is for people. */
export type SessionState =
  | { readonly kind: 'connecting'; readonly reason: string }
  | { readonly kind: 'connected' }
  /** The operator will not serve this Pod as it is. It is asked again all the same. */
  | { readonly kind: 'refused'; readonly reason: string };

/** A control port that outlives its connections. While there is none every call rejects at once, with what the operator said last. */
export interface Session extends ControlPort {
  /** The name of this proxy in its streams, told by the operator at the first welcome. */
  readonly instance: Promise<string>;
  state(): SessionState;
  /** When something of the operator last came, by `monotonic`; when the session was made until the first welcome. */
  lastContact(): number;
  close(): void;
}

export interface OperatorOptions {
  /** `wss://keyforge-operator.keyforge-system.svc:443/control`. */
  readonly url: string;
  /** PEM: the only root that is trusted. */
  readonly ca: string;
  /** Read for each hello: the kubelet renews the token on disk. */
  readonly readToken: () => Promise<string>;
  readonly logger: Logger;
  /** Milliseconds that only grow. */
  readonly monotonic: () => number;
  /** From 0 to below 1; spreads proxies that lost the same operator. */
  readonly random: () => number;
  readonly timings?: Partial<SessionTimings & RetryTimings>;
}

/** Wait before another connection: doubled by each failure; up to half is taken off at random. */
interface RetryTimings {
  readonly firstRetryMs: number;
  readonly longestRetryMs: number;
}

const retryTimings: RetryTimings = { firstRetryMs: 200, longestRetryMs: 10_000 };

/** Holds a session with an operator: connects, and connects again, until it is closed. */
export function connectOperator(options: OperatorOptions): Session {
  const { logger, monotonic, random } = options;
  const timings = { ...sessionTimings, ...retryTimings, ...options.timings };
  const watches = createWatches();
  const named = Promise.withResolvers<string>();
  const closing = new AbortController();
  let state: SessionState = { kind: 'connecting', reason: 'the operator was not reached yet' };
  let control: ControlClient | null = null;
  let heardAt = monotonic();

  function welcome(channel: Channel, instance: string): void {
    named.resolve(instance);
    state = { kind: 'connected' };
    control = connectControl(channel);
    watches.connect(control);
    logger.info({ instance }, 'the operator serves this proxy');
  }

  function leave({ kind, reason }: Ending): void {
    const before = state;
    control = null;
    watches.disconnect();
    state = kind === 'refused' ? { kind, reason } : { kind: 'connecting', reason };
    // Fail closed: what a Pod may not have any more goes at once, not when it is stale.
    if (kind === 'refused') watches.revoke();
    if (before.kind !== state.kind || !('reason' in before) || before.reason !== reason)
      logger.warn(`no session with the operator at ${options.url}: ${reason}`);
  }

  async function run(): Promise<void> {
    let failures = 0;
    while (!closing.signal.aborted) {
      const ending = await connectOnce({
        ...options,
        timings,
        signal: closing.signal,
        welcome,
        heard: () => {
          heardAt = monotonic();
        },
      });
      leave(ending);
      failures = ending.servedMs > timings.longestRetryMs ? 0 : failures + 1;
      const most = Math.min(timings.longestRetryMs, timings.firstRetryMs * 2 ** Math.min(failures, 20));
      await sleep((most / 2) * (1 + random()), undefined, { signal: closing.signal }).catch(() => {});
    }
  }

  /** The port of the connection that stands, or a call that fails. */
  function call<T>(ask: (port: ControlPort) => Promise<T>): Promise<T> {
    if (control !== null) return ask(control);
    const reason = state.kind === 'connected' ? 'the connection ended' : state.reason;
    return Promise.reject(new ControlUnavailable(`the operator cannot be asked: ${reason}`));
  }

  void run();
  return {
    instance: named.promise,
    state: () => state,
    lastContact: () => heardAt,
    close() {
      closing.abort();
      control = null;
      state = { kind: 'connecting', reason: 'this proxy ends' };
    },
    open: (ask) => call((port) => port.open(ask)),
    ship: (ask) => call((port) => port.ship(ask)),
    grant: (ask) => call((port) => port.grant(ask)),
    account: (key) => call((port) => port.account(key)),
    mint: (parent, spec) => call((port) => port.mint(parent, spec)),
    children: (parent) => call((port) => port.children(parent)),
    unmint: (parent, child) => call((port) => port.unmint(parent, child)),
    watch: watches.watch,
  };
}
