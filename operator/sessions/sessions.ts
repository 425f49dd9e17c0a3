import type { IncomingMessage } from 'node:http';
import type { Server } from 'node:https';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws';
import type { KeyName } from '../../core/names.ts';
import { proxyMessageBytes, type SessionTimings, sessionTimings } from '../../core/protocol/session.ts';
import { UnattestedConnections } from '../connections.ts';
import type { Pod } from '../inject/types.ts';
import type { Attestor } from './attest.ts';
import { receiveHello } from './hello.ts';
import { hasEnded } from './pod-scope.ts';
import { type AttestedScope, isRefused, type Refused, sameScope } from './scope.ts';
import { type ControlHost, causeOf, type EndCause, type Session, type SessionBounds, type SessionDeps } from './session.ts';

/** A Pod with a session that differs from what was injected. */
export interface Drift {
  readonly scope: AttestedScope;
  readonly message: string;
  /** `namespace/pool name` of the credentials that the Pod may have seen, so rotate them at the provider. */
  readonly credentials: readonly string[];
}

/** Callbacks for metrics and events; each argument is a name or of a closed set. */
export interface SessionEvents {
  opened(scope: AttestedScope): void;
  closed(cause: EndCause): void;
  refused(refusal: Refused['refusal']): void;
  drifted(drift: Drift): void;
}

/** What the sessions of a replica need. */
export interface SessionsOptions {
  /** Sessions handle all its upgrades; a path other than `path` gets 404. */
  readonly server: Server;
  /** `/control`. */
  readonly path: string;
  readonly attestor: Attestor;
  readonly host: ControlHost;
  readonly logger: Logger;
  readonly events: SessionEvents;
  /** Milliseconds of a monotonic clock. */
  readonly monotonic: () => number;
  readonly timings?: Partial<SessionTimings>;
  readonly bounds?: Partial<SessionBounds>;
}

const defaultBounds: SessionBounds = {
  sessions: 10_000,
  unattested: 1_000,
  unattestedPerAddress: 48,
  attestations: 64,
  unsentBytes: 16 * 1_048_576,
  messagesPerSecond: 500,
};
/** A hello holds a token of at most 16 KiB. */
const unattestedBytes = 65_536;
/** A peer has two seconds to answer a close frame; an option that the package's types do not know yet. */
const socketOptions: ServerOptions & { readonly closeTimeout: number } = {
  noServer: true,
  maxPayload: proxyMessageBytes,
  perMessageDeflate: false,
  closeTimeout: 2_000,
};

/** Serves the control port to attested proxies on an HTTPS server that its owner starts and closes. */
export function serveSessions(options: SessionsOptions): Sessions {
  const sessions = new Sessions(options);
  sessions.start();
  return sessions;
}

/** The proxies that this replica serves. */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #bounds: SessionBounds;
  readonly #deps: SessionDeps;
  readonly #unattested: UnattestedConnections;
  readonly #sockets = new WebSocketServer(socketOptions);
  /** By the proxy's instance. */
  readonly #sessions = new Map<string, Session>();

  constructor(options: SessionsOptions) {
    const { attestor, host, logger, monotonic } = options;
    this.#options = options;
    this.#bounds = { ...defaultBounds, ...options.bounds };
    this.#unattested = new UnattestedConnections({ maxPerAddress: this.#bounds.unattestedPerAddress, maxBytes: unattestedBytes });
    this.#deps = {
      attest: limited(attestor, this.#bounds.attestations, logger),
      // Separate from new connections, so that many of them do not block the renewal of sessions.
      renew: limited(attestor, this.#bounds.attestations, logger),
      host,
      logger,
      monotonic,
      bounds: this.#bounds,
      timings: { ...sessionTimings, ...options.timings },
      onOpen: (session) => this.#add(session),
      onEnd: (session, cause) => this.#remove(session, cause),
      onRefuse: (refused, session) => this.#report(refused, session),
    };
  }

  start(): void {
    this.#options.server.on('upgrade', this.#upgrade);
  }

  count(): number {
    return this.#sessions.size;
  }

  /** Number of proxies by key: each sidecar counts for its own, each gateway for all of `ofGateways`. */
  activeByKey(ofGateways: Iterable<KeyName>): ReadonlyMap<KeyName, number> {
    return countByKey([...this.#sessions.values()], ofGateways);
  }

  /** Uids of the Pods that have a session. */
  instances(): Iterable<string> {
    return this.#sessions.keys();
  }

  /** Ends the session of a changed Pod if the Pod is no longer entitled to it. */
  podChanged(pod: Pod): void {
    const { uid = '' } = pod.metadata;
    const session = this.#sessions.get(uid);
    if (hasEnded(pod)) {
      // A proxy often ends before the watch shows that its Pod has ended: retire what it held.
      this.podGone(uid);
      return;
    }
    if (session === undefined) return;
    const outcome = this.#options.attestor.judge(pod);
    if (!isRefused(outcome)) {
      if (!sameScope(outcome, session.scope)) session.close('renew', 'the entitlement of this Pod has changed');
    } else if (!outcome.retry) {
      this.#report(outcome, session);
      session.close(causeOf(outcome), outcome.message);
    }
  }

  /** Ends the session of a Pod that is deleted or has ended, and retires its proxy even without a session here. */
  podGone(uid: string): void {
    this.#sessions.get(uid)?.close('gone', 'the Pod has ended');
    this.#options.host.retire(uid);
  }

  /** Ends every session; the proxies connect to another replica or to the next start. */
  async close(): Promise<void> {
    this.#options.server.off('upgrade', this.#upgrade);
    for (const session of this.#sessions.values()) session.close('unready', 'the operator is shutting down: connect to another replica');
    await Promise.all([...this.#sockets.clients].map(closed));
  }

  readonly #upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const { remoteAddress = '' } = request.socket;
    const isFull =
      this.#sessions.size >= this.#bounds.sessions || this.#sockets.clients.size >= this.#sessions.size + this.#bounds.unattested;
    if (request.url !== this.#options.path) turnAway(socket, '404 Not Found');
    else if (isFull || this.#unattested.isFull(remoteAddress)) turnAway(socket, '503 Service Unavailable');
    else {
      this.#sockets.handleUpgrade(request, socket, head, (opened) =>
        receiveHello(opened, this.#deps, this.#unattested.add(remoteAddress, socket)),
      );
    }
  };

  #add(session: Session): void {
    const { scope } = session;
    this.#sessions.get(scope.instance)?.close('replaced', 'this proxy opened a later session');
    this.#sessions.set(scope.instance, session);
    this.#options.events.opened(scope);
    this.#options.logger.info(scope, 'opened a session');
  }

  #remove(session: Session, cause: EndCause): void {
    const { instance } = session.scope;
    if (this.#sessions.get(instance) === session) this.#sessions.delete(instance);
    this.#options.events.closed(cause);
    this.#options.logger.info({ instance, cause }, 'a session ended');
  }

  #report({ refusal, message }: Refused, session?: Session): void {
    this.#options.events.refused(refusal);
    if (session === undefined) this.#options.logger.warn({ refusal }, `the operator refused a session: ${message}`);
    else if (refusal === 'pod_drifted' || refusal === 'image_denied') this.#reportDrift(session, message);
  }

  #reportDrift({ scope, credentials }: Session, message: string): void {
    const { logger, events } = this.#options;
    const named = [...credentials].sort();
    logger.warn(
      { instance: scope.instance, credentials: named },
      `${message}. The operator ended its session. The person who changed the Pod may have read these provider keys: rotate them`,
    );
    events.drifted({ scope, message, credentials: named });
  }
}

const busy: Refused = {
  refusal: 'api_unavailable',
  retry: true,
  message: 'the operator attests too many proxies at once; the proxy retries',
};
const failed: Refused = { refusal: 'api_unavailable', retry: true, message: 'the operator failed; see its log' };

/** Makes attestation with a maximum of parallel runs. Never rejects: it logs a defect and refuses the proxy temporarily. */
function limited(attestor: Attestor, max: number, logger: Logger): Attestor['attest'] {
  let running = 0;
  return async (token) => {
    if (running >= max) return busy;
    running += 1;
    try {
      return await attestor.attest(token);
    } catch (error) {
      logger.error({ err: error }, 'an attestation failed because of a defect');
      return failed;
    } finally {
      running -= 1;
    }
  };
}

function turnAway(socket: Duplex, status: string): void {
  // An upgraded socket has no listener of its server: without ours, a reset would end the process.
  socket.on('error', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

function countByKey(sessions: readonly Session[], ofGateways: Iterable<KeyName>): ReadonlyMap<KeyName, number> {
  const counts = new Map<KeyName, number>();
  const gateways = sessions.filter(({ scope }) => scope.kind === 'gateway').length;
  if (gateways > 0) for (const key of ofGateways) counts.set(key, gateways);
  for (const { scope } of sessions) if (scope.kind === 'sidecar') counts.set(scope.key, (counts.get(scope.key) ?? 0) + 1);
  return counts;
}

function closed(socket: WebSocket): Promise<void> {
  return new Promise((resolve) => {
    socket.on('close', () => resolve());
    if (socket.readyState === socket.OPEN) socket.close(1001);
  });
}
