import type { IncomingMessage } from 'node:http';
import type { Server } from 'node:https';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws';
import type { KeyName } from '../../core/names.ts';
import { proxyMessageBytes, type SessionTimings, sessionTimings } from '../../core/protocol/session.ts';
import { UnattestedConnections } from '../connections.ts';
import type { Pod } from '../inject/types.ts';
import { type AttestedScope, type Attestor, hasEnded, isRefused, type Refused, sameScope } from './attest.ts';
import { type ControlHost, causeOf, type EndCause, greet, type Session, type SessionBounds, type SessionDeps } from './session.ts';

/** A Pod that had a session is no longer what was injected. */
export interface Drift {
  readonly scope: AttestedScope;
  readonly message: string;
  /** `namespace/pool name`: what the Pod may have seen, hence what to rotate at the provider. */
  readonly credentials: readonly string[];
}

/** For metrics and events; each argument is of a closed set or a name. */
export interface SessionEvents {
  opened(scope: AttestedScope): void;
  closed(cause: EndCause): void;
  refused(refusal: Refused['refusal']): void;
  drifted(drift: Drift): void;
}

export interface SessionsOptions {
  /** Its upgrades are all ours: a path other than `path` is answered with 404. */
  readonly server: Server;
  /** `/control`. */
  readonly path: string;
  readonly attestor: Attestor;
  readonly host: ControlHost;
  readonly logger: Logger;
  readonly events: SessionEvents;
  /** Milliseconds that only grow. */
  readonly monotonic: () => number;
  readonly timings?: Partial<SessionTimings>;
  readonly bounds?: Partial<SessionBounds>;
}

/** The proxies that this replica serves. */
export interface Sessions {
  count(): number;
  /** Proxies by the key that they serve: each sidecar its own, each gateway all of `ofGateways`. */
  activeByKey(ofGateways: Iterable<KeyName>): ReadonlyMap<KeyName, number>;
  /** Uids of the Pods that have a session. */
  instances(): Iterable<string>;
  /** A watch saw a Pod: its session ends where it is entitled to it no longer. */
  podChanged(pod: Pod): void;
  /** The Pod is deleted or has ended; also where this replica had no session of it. */
  podGone(uid: string): void;
  /** Ends every session, to be taken up by another replica or the next start. */
  close(): Promise<void>;
}

const defaultBounds: SessionBounds = {
  sessions: 10_000,
  strangers: 1_000,
  strangersPerAddress: 48,
  attestations: 64,
  unsentBytes: 16 * 1_048_576,
  messagesPerSecond: 500,
};
/** A hello holds a token of at most 16 KiB. */
const strangerBytes = 65_536;
/** A peer has two seconds to answer a close frame; an option that the package's types do not know yet. */
const socketOptions: ServerOptions & { readonly closeTimeout: number } = {
  noServer: true,
  maxPayload: proxyMessageBytes,
  perMessageDeflate: false,
  closeTimeout: 2_000,
};

/** Serves the control port to attested proxies on an HTTPS server that its owner starts and closes. */
export function serveSessions(options: SessionsOptions): Sessions {
  const { server, path, host, logger, events, monotonic } = options;
  const bounds = { ...defaultBounds, ...options.bounds };
  const sessions = new Map<string, Session>();
  const sockets = new WebSocketServer(socketOptions);
  const strangers = new UnattestedConnections({ maxPerAddress: bounds.strangersPerAddress, maxBytes: strangerBytes });

  function refused({ refusal, message }: Refused, session?: Session): void {
    events.refused(refusal);
    if (session === undefined) logger.warn({ refusal }, `a proxy is not served: ${message}`);
    else if (refusal === 'pod_drifted' || refusal === 'image_denied') reportDrift(session, message);
  }

  function reportDrift({ scope, credentials }: Session, message: string): void {
    const named = [...credentials].sort();
    logger.warn(
      { instance: scope.instance, credentials: named },
      `${message}. Its session is ended; whoever changed it may have read these provider keys: rotate them`,
    );
    events.drifted({ scope, message, credentials: named });
  }

  const deps: SessionDeps = {
    attest: limited(options.attestor.attest, bounds.attestations),
    // Apart from strangers, who may be many: they shall not keep those who are known from being looked at again.
    renew: limited(options.attestor.attest, bounds.attestations),
    host,
    logger,
    monotonic,
    bounds,
    timings: { ...sessionTimings, ...options.timings },
    refused,
    entered(session) {
      const { scope } = session;
      sessions.get(scope.instance)?.close('replaced', 'this proxy opened a later session');
      sessions.set(scope.instance, session);
      events.opened(scope);
      logger.info(scope, 'a proxy has a session');
    },
    ended(session, cause) {
      const { instance } = session.scope;
      if (sessions.get(instance) === session) sessions.delete(instance);
      events.closed(cause);
      logger.info({ instance, cause }, 'a session ended');
    },
  };

  function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { remoteAddress = '' } = request.socket;
    const isFull = sessions.size >= bounds.sessions || sockets.clients.size >= sessions.size + bounds.strangers;
    if (request.url !== path) turnAway(socket, '404 Not Found');
    else if (isFull || strangers.isFull(remoteAddress)) turnAway(socket, '503 Service Unavailable');
    else sockets.handleUpgrade(request, socket, head, (opened) => receive(opened, strangers.add(remoteAddress, socket)));
  }

  function receive(opened: WebSocket, known: () => void): void {
    greet(opened, {
      ...deps,
      entered(session) {
        known();
        deps.entered(session);
      },
    });
  }

  function podGone(uid: string): void {
    sessions.get(uid)?.close('gone', 'the Pod has ended');
    host.retire(uid);
  }

  server.on('upgrade', upgrade);
  return {
    count: () => sessions.size,
    activeByKey: (ofGateways) => countByKey([...sessions.values()], ofGateways),
    instances: () => sessions.keys(),
    podChanged(pod) {
      const { uid = '' } = pod.metadata;
      const session = sessions.get(uid);
      // A proxy ends before its Pod is seen to have ended: what it held is to be retired all the same.
      if (hasEnded(pod)) return podGone(uid);
      if (session === undefined) return;
      const outcome = options.attestor.judge(pod);
      if (!isRefused(outcome)) {
        if (!sameScope(outcome, session.scope)) session.close('renew', 'what this Pod is entitled to has changed');
      } else if (!outcome.retry) {
        refused(outcome, session);
        session.close(causeOf(outcome), outcome.message);
      }
    },
    podGone,
    async close() {
      server.off('upgrade', upgrade);
      for (const session of sessions.values()) session.close('unready', 'the operator ends: go to another replica');
      await Promise.all([...sockets.clients].map(closed));
    },
  };
}

const busy: Refused = { refusal: 'api_unavailable', retry: true, message: 'the operator is busy with other proxies: try again' };

/** The same, so many at one time. */
function limited(attest: Attestor['attest'], most: number): Attestor['attest'] {
  let running = 0;
  return async (token) => {
    if (running >= most) return busy;
    running += 1;
    try {
      return await attest(token);
    } finally {
      running -= 1;
    }
  };
}

function turnAway(socket: Duplex, status: string): void {
  // An upgraded socket has no listener of its server's left: a reset would end the process.
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
