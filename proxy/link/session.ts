import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Channel } from '../../core/protocol/channel.ts';
import { type ControlPort, ControlUnavailable } from '../../core/protocol/control.ts';
import { type SessionTimings, sessionTimings } from '../../core/protocol/session.ts';
import { type ControlClient, connectControl } from './client.ts';
import { connectOnce, type Ending } from './connection.ts';
import { Watches } from './watches.ts';

/** The state of the connection to the operator; `reason` is for people. */
type SessionState =
  | { readonly kind: 'connecting'; readonly reason: string }
  | { readonly kind: 'connected' }
  /** The operator refused this Pod. The session still connects again. */
  | { readonly kind: 'refused'; readonly reason: string };

/** A control port that outlives its connections. Without a connection, every call rejects at once, with the last reason. */
export interface Session extends ControlPort {
  /** The name of this proxy in its streams, from the operator's first welcome. */
  readonly instance: Promise<string>;
  state(): SessionState;
  /** Time of the operator's last message, by `monotonic`; before the first welcome, the start of the session. */
  lastContact(): number;
  close(): void;
}

export interface OperatorOptions {
  /** `wss://keyforge-operator.keyforge-system.svc:443/control`. */
  readonly url: string;
  /** PEM of the only trusted root. */
  readonly ca: string;
  /** Called for each hello, because the kubelet renews the token on disk. */
  readonly readToken: () => Promise<string>;
  readonly logger: Logger;
  /** Milliseconds of a monotonic clock. */
  readonly monotonic: () => number;
  /** From 0 to below 1; spreads the retries of proxies that lost the same operator. */
  readonly random: () => number;
  readonly timings?: Partial<SessionTimings & RetryTimings>;
}

/** Wait before the next connection. Each failure doubles it; up to half is subtracted at random. */
interface RetryTimings {
  readonly firstRetryMs: number;
  readonly longestRetryMs: number;
}

const retryTimings: RetryTimings = { firstRetryMs: 200, longestRetryMs: 10_000 };

/** Opens a session with an operator. It reconnects until it is closed. */
export function connectOperator(options: OperatorOptions): Session {
  const session = new OperatorSession(options);
  void session.run();
  return session;
}

class OperatorSession implements Session {
  readonly instance: Promise<string>;
  readonly #options: OperatorOptions;
  readonly #timings: SessionTimings & RetryTimings;
  readonly #watches = new Watches();
  readonly #closing = new AbortController();
  readonly #nameInstance: (instance: string) => void;
  #state: SessionState = { kind: 'connecting', reason: 'the first connection is not open yet' };
  #control: ControlClient | null = null;
  #lastContact: number;

  readonly open: ControlPort['open'] = (request) => this.#call((port) => port.open(request));
  readonly ship: ControlPort['ship'] = (request) => this.#call((port) => port.ship(request));
  readonly grant: ControlPort['grant'] = (request, signal) => this.#call((port) => port.grant(request, signal));
  readonly account: ControlPort['account'] = (key) => this.#call((port) => port.account(key));
  readonly answerTokens: ControlPort['answerTokens'] = (key, sha256) => this.#call((port) => port.answerTokens(key, sha256));
  readonly mint: ControlPort['mint'] = (parent, spec) => this.#call((port) => port.mint(parent, spec));
  readonly children: ControlPort['children'] = (parent) => this.#call((port) => port.children(parent));
  readonly unmint: ControlPort['unmint'] = (parent, child) => this.#call((port) => port.unmint(parent, child));
  readonly watch: ControlPort['watch'] = (listener) => this.#watches.watch(listener);

  constructor(options: OperatorOptions) {
    const { promise, resolve } = Promise.withResolvers<string>();
    this.instance = promise;
    this.#nameInstance = resolve;
    this.#options = options;
    this.#timings = { ...sessionTimings, ...retryTimings, ...options.timings };
    this.#lastContact = options.monotonic();
  }

  state(): SessionState {
    return this.#state;
  }

  lastContact(): number {
    return this.#lastContact;
  }

  close(): void {
    this.#closing.abort();
    this.#control = null;
    this.#state = { kind: 'connecting', reason: 'this proxy is shutting down' };
  }

  /** Reconnects after each connection's end, until the session is closed. Never rejects. */
  async run(): Promise<void> {
    const { signal } = this.#closing;
    let failures = 0;
    while (!signal.aborted) {
      const ending = await connectOnce({
        ...this.#options,
        timings: this.#timings,
        signal,
        onWelcome: (channel, instance) => this.#enter(channel, instance),
        onMessage: () => {
          this.#lastContact = this.#options.monotonic();
        },
      });
      this.#leave(ending);
      failures = ending.connectedMs > this.#timings.longestRetryMs ? 0 : failures + 1;
      await sleep(this.#retryMs(failures), undefined, { signal }).catch(() => {});
    }
  }

  #retryMs(failures: number): number {
    const { firstRetryMs, longestRetryMs } = this.#timings;
    const longestMs = Math.min(longestRetryMs, firstRetryMs * 2 ** Math.min(failures, 20));
    return (longestMs / 2) * (1 + this.#options.random());
  }

  #enter(channel: Channel, instance: string): void {
    this.#nameInstance(instance);
    this.#state = { kind: 'connected' };
    this.#control = connectControl(channel);
    this.#watches.connect(this.#control);
    this.#options.logger.info({ instance }, 'the operator accepted this proxy');
  }

  #leave({ kind, reason }: Ending): void {
    const previous = this.#state;
    this.#control = null;
    this.#watches.disconnect();
    this.#state = kind === 'refused' ? { kind, reason } : { kind: 'connecting', reason };
    // Fail closed: drop what this Pod may no longer have at once, not when it is stale.
    if (kind === 'refused') this.#watches.revoke();
    if (previous.kind !== this.#state.kind || !('reason' in previous) || previous.reason !== reason)
      this.#options.logger.warn(`no session with the operator at ${this.#options.url}: ${reason}`);
  }

  /** Calls the port of the current connection; rejects if there is none. */
  #call<T>(request: (port: ControlPort) => Promise<T>): Promise<T> {
    if (this.#control !== null) return request(this.#control);
    const reason = this.#state.kind === 'connected' ? 'the connection ended' : this.#state.reason;
    return Promise.reject(new ControlUnavailable(`the operator is unreachable: ${reason}`));
  }
}
