import type { Logger } from 'pino';
import type { Channel } from '../../core/protocol/channel.ts';
import type { ControlPort } from '../../core/protocol/control.ts';
import { closeCodes, type HelloReply, type SessionTimings } from '../../core/protocol/session.ts';
import type { Push } from '../../core/protocol/snapshot.ts';
import type { Attestor } from './attest.ts';
import { serveControl } from './port.ts';
import { Renewal } from './renewal.ts';
import type { AttestedScope, Refused } from './scope.ts';

/** The part of the broker that sessions need. */
export interface ControlHost {
  /** Makes a control port that permits only what this proxy may see and do. */
  session(scope: AttestedScope): ControlPort;
  /** Retires a proxy that will not return: what it held burns. A second call does nothing. */
  retire(instance: string): void;
}

/** Why the operator closed a session. */
type CloseCause = keyof typeof closeCodes;
/** Why a session ended: the operator closed it, the proxy closed it (`left`), or the connection was lost. */
export type EndCause = CloseCause | 'left' | 'lost';

/** Sizes and rates that one proxy cannot exceed. */
export interface SessionBounds {
  /** Sessions of this replica; default 10,000. */
  readonly sessions: number;
  /** Connections whose peer is not attested yet; default 1,000. */
  readonly unattested: number;
  /** Of these, from one address; default 48, fewer than attestations. If a node hides its Pods behind its own address, some of them retry. */
  readonly unattestedPerAddress: number;
  /** Parallel attestations, of new connections and separately of sessions; default 64. */
  readonly attestations: number;
  /** If a proxy leaves more unread, it is disconnected; default 16 MiB. */
  readonly unsentBytes: number;
  /** Beyond this, the operator reads the socket more slowly; default 500. */
  readonly messagesPerSecond: number;
}

/** The part of the table of sessions that a session needs. */
export interface SessionDeps {
  /** Attest new connections, and sessions. Each refuses temporarily if too many run at once. Neither rejects. */
  readonly attest: Attestor['attest'];
  readonly renew: Attestor['attest'];
  readonly host: ControlHost;
  readonly logger: Logger;
  readonly monotonic: () => number;
  readonly timings: SessionTimings;
  readonly bounds: SessionBounds;
  readonly onOpen: (session: Session) => void;
  readonly onEnd: (session: Session, cause: EndCause) => void;
  readonly onRefuse: (refused: Refused, session?: Session) => void;
}

/** RFC 6455, 7.4.1: done, and going away. */
const leavingCodes: readonly number[] = [1000, 1001];

/** One attested proxy at the other end of a channel. */
export class Session {
  readonly scope: AttestedScope;
  readonly #channel: Channel;
  readonly #deps: SessionDeps;
  readonly #renewal: Renewal;
  readonly #credentials = new Set<string>();
  #stopServing = (): void => {};
  #beat = 0;
  #cause: EndCause | null = null;

  /** `token` is the one that opened the session, a secret. */
  constructor(channel: Channel, token: string, scope: AttestedScope, deps: SessionDeps) {
    this.scope = scope;
    this.#channel = channel;
    this.#deps = deps;
    this.#renewal = new Renewal({
      token,
      scope,
      attest: deps.renew,
      monotonic: deps.monotonic,
      timings: deps.timings,
      onEnd: (why) => this.#endRenewal(why),
    });
  }

  /** `namespace/pool name` of every credential that was pushed to it. If the Pod drifts, rotate these. */
  get credentials(): ReadonlySet<string> {
    return this.#credentials;
  }

  /** Answers the hello and serves the control port until either side closes. */
  open(helloId: number): void {
    const { host, logger, timings, onOpen } = this.#deps;
    this.#stopServing = serveControl(this.#channel, host.session(this.scope), logger, {
      onHello: (token) => this.#renewal.show(token),
      onPush: (push) => this.#noteCredentials(push),
    });
    const beating = setInterval(() => this.#sendBeat(), timings.beatMs);
    this.#channel.onClose(({ code }) => {
      clearInterval(beating);
      this.#end(code);
    });
    onOpen(this);
    const welcome: HelloReply = { id: helloId, reply: { instance: this.scope.instance } };
    this.#channel.send(JSON.stringify(welcome));
  }

  /** Closes the session. From now on it serves nothing, even if the proxy ignores the close frame. */
  close(cause: CloseCause, reason: string): void {
    if (this.#cause !== null) return;
    this.#cause = cause;
    this.#channel.close(closeCodes[cause], shortened(reason));
    this.#stopServing();
  }

  #sendBeat(): void {
    this.#beat += 1;
    this.#channel.send(JSON.stringify({ beat: this.#beat }));
    this.#renewal.tick();
  }

  #noteCredentials(push: Push): void {
    if (push.kind === 'snapshot') for (const { pool, name } of push.credentials) this.#credentials.add(`${pool} ${name}`);
  }

  #endRenewal(why: Refused | 'changed'): void {
    if (this.#cause !== null) return;
    if (why === 'changed') {
      this.close('renew', 'the entitlement of this Pod has changed');
      return;
    }
    this.#deps.onRefuse(why, this);
    this.close(causeOf(why), why.message);
  }

  #end(code: number): void {
    this.#cause ??= leavingCodes.includes(code) ? 'left' : 'lost';
    this.#deps.onEnd(this, this.#cause);
  }
}

/** The cause with which a refusal ends a session. */
export function causeOf({ refusal, retry }: Refused): CloseCause {
  if (retry) return 'unready';
  return refusal === 'pod_gone' ? 'gone' : 'refused';
}

/** A close frame holds 123 bytes of reason (RFC 6455, 5.5). */
function shortened(reason: string): string {
  const bytes = Buffer.from(reason);
  if (bytes.length <= 123) return reason;
  const start = bytes.subarray(0, 119).toString();
  return `${start.replace(/\uFFFD$/u, '')}…`;
}
