import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import { type Channel, socketChannel } from '../../core/protocol/channel.ts';
import type { ControlPort } from '../../core/protocol/control.ts';
import { readCall } from '../../core/protocol/messages.ts';
import { closeCodes, type HelloReply, type SessionTimings } from '../../core/protocol/session.ts';
import type { Push } from '../../core/protocol/snapshot.ts';
import { type AttestedScope, type Attestor, isRefused, type Refused } from './attest.ts';
import { serveControl } from './port.ts';
import { createRenewal } from './renewal.ts';
import { keepAlive, limitRate } from './socket.ts';

/** What sessions are made from: the broker. */
export interface ControlHost {
  /** A control port that sees and does only what this proxy may. */
  session(scope: AttestedScope): ControlPort;
  /** The proxy is gone for good: what it held is burned. Twice is as once. */
  retire(instance: string): void;
}

export type CloseCause = keyof typeof closeCodes;
/** Why a session ended: closed by us, by the proxy, or by nobody that we know of. */
export type EndCause = CloseCause | 'left' | 'lost';

/** One attested proxy at the other end of a socket. */
export interface Session {
  readonly scope: AttestedScope;
  /** `namespace/pool name` of every credential that was given to it. */
  readonly credentials: ReadonlySet<string>;
  close(cause: CloseCause, reason: string): void;
}

/** Sizes and rates that one proxy cannot exceed. */
export interface SessionBounds {
  /** Sessions of this replica; default 10,000. */
  readonly sessions: number;
  /** Connections that have not yet shown who they are; default 1,000. */
  readonly strangers: number;
  /** Of these, from one address; default 48, fewer than attestations. Where a node hides its Pods behind its own, others of them try again. */
  readonly strangersPerAddress: number;
  /** Attestations at one time, of strangers and, apart from them, of sessions; default 64. */
  readonly attestations: number;
  /** A proxy that leaves more unread is cut off; default 16 MiB. */
  readonly unsentBytes: number;
  /** Beyond it the socket is read more slowly; default 500. */
  readonly messagesPerSecond: number;
}

/** What a greeting needs of the registry of sessions. */
export interface SessionDeps {
  /** Of strangers, and of sessions: each refuses for now where too many are asked for at once. */
  readonly attest: Attestor['attest'];
  readonly renew: Attestor['attest'];
  readonly host: ControlHost;
  readonly logger: Logger;
  readonly monotonic: () => number;
  readonly timings: SessionTimings;
  readonly bounds: SessionBounds;
  readonly entered: (session: Session) => void;
  readonly ended: (session: Session, cause: EndCause) => void;
  readonly refused: (refused: Refused, session?: Session) => void;
}

/** RFC 6455, 7.4.1: done, and going away. */
const leavingCodes: readonly number[] = [1000, 1001];

/** Takes a socket from its first message to its end. The first message is a hello, or nothing is served. */
export function greet(socket: WebSocket, deps: SessionDeps): void {
  const { timings, bounds } = deps;
  const channel = socketChannel(socket, bounds);
  keepAlive(socket, timings);
  limitRate(socket, bounds.messagesPerSecond, deps.monotonic);
  const late = setTimeout(() => channel.close(closeCodes.helloLate, `no hello within ${timings.helloMs} ms`), timings.helloMs);
  channel.onClose(() => clearTimeout(late));
  const stop = channel.onMessage((data) => {
    stop();
    clearTimeout(late);
    const message = readCall(data);
    if (!('hello' in message)) return channel.close(closeCodes.protocol, 'bad' in message ? message.bad : 'say hello first');
    void receiveHello(socket, channel, message, deps);
  });
}

interface Hello {
  readonly id: number;
  /** The token: a secret. */
  readonly hello: string;
}

async function receiveHello(socket: WebSocket, channel: Channel, message: Hello, deps: SessionDeps): Promise<void> {
  const outcome = await attest(deps.attest, message.hello, deps.logger);
  if (socket.readyState !== socket.OPEN) return;
  if (isRefused(outcome)) return turnAway(channel, message.id, outcome, deps);
  try {
    begin(channel, message, outcome, deps);
  } catch (error) {
    deps.logger.error({ err: error }, 'a session could not be opened');
    channel.close(closeCodes.unready, 'the operator failed; its log says more');
  }
}

/** Never rejects: a defect is told as what it means for the proxy. */
async function attest(look: Attestor['attest'], token: string, logger: Logger): Promise<AttestedScope | Refused> {
  try {
    return await look(token);
  } catch (error) {
    logger.error({ err: error }, 'an attestation failed by a defect');
    return { refusal: 'api_unavailable', retry: true, message: 'the operator failed; its log says more' };
  }
}

function turnAway(channel: Channel, id: number, refused: Refused, deps: SessionDeps): void {
  deps.refused(refused);
  const reply: HelloReply = { id, error: refused.message, code: refused.retry ? 'unready' : 'refused' };
  channel.send(JSON.stringify(reply));
  channel.close(closeCodes[causeOf(refused)], refused.refusal);
}

/** The cause with which a refusal ends a session. */
export function causeOf({ refusal, retry }: Refused): CloseCause {
  if (retry) return 'unready';
  return refusal === 'pod_gone' ? 'gone' : 'refused';
}

function begin(channel: Channel, hello: Hello, scope: AttestedScope, deps: SessionDeps): void {
  const { host, logger, timings, monotonic } = deps;
  const credentials = new Set<string>();
  let cause: EndCause | null = null;
  let beat = 0;

  /** From here on nothing is served, whatever the proxy makes of the close frame. */
  function close(why: CloseCause, reason: string): void {
    if (cause !== null) return;
    cause = why;
    channel.close(closeCodes[why], shortened(reason));
    stop();
  }

  const session: Session = { scope, credentials, close };
  const renewal = createRenewal({
    ...{ token: hello.hello, scope, monotonic, timings },
    attest: (token) => attest(deps.renew, token, logger),
    onEnd(why) {
      if (cause !== null) return;
      if (why === 'changed') return close('renew', 'what this Pod is entitled to has changed');
      deps.refused(why, session);
      close(causeOf(why), why.message);
    },
  });
  const stop = serveControl(channel, noting(host.session(scope), credentials), logger, renewal.show);
  const beating = setInterval(() => {
    beat += 1;
    channel.send(JSON.stringify({ beat }));
    renewal.tick();
  }, timings.beatMs);
  channel.onClose(({ code }) => {
    clearInterval(beating);
    cause ??= leavingCodes.includes(code) ? 'left' : 'lost';
    deps.ended(session, cause);
  });
  deps.entered(session);
  const welcome: HelloReply = { id: hello.id, reply: { instance: scope.instance } };
  channel.send(JSON.stringify(welcome));
}

/** The port, with every credential noted that goes through it: should the Pod drift, these are to be rotated. */
function noting(control: ControlPort, credentials: Set<string>): ControlPort {
  const note = (push: Push): void => {
    if (push.kind === 'snapshot') for (const { pool, name } of push.credentials) credentials.add(`${pool} ${name}`);
  };
  return {
    ...control,
    watch: (listener) =>
      control.watch((push) => {
        note(push);
        listener(push);
      }),
  };
}

/** A close frame holds 123 bytes of reason (RFC 6455, 5.5). */
function shortened(reason: string): string {
  const bytes = Buffer.from(reason);
  if (bytes.length <= 123) return reason;
  const start = bytes.subarray(0, 119).toString();
  return `${start.replace(/\uFFFD$/u, '')}…`;
}
