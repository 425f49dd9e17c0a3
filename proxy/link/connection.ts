import type { Logger } from 'pino';
import { type ClientOptions, WebSocket } from 'ws';
import { type Channel, type Closing, type Message, socketChannel } from '../../core/protocol/channel.ts';
import { closeCodes, type HelloReply, helloText, operatorMessageBytes, type SessionTimings } from '../../core/protocol/session.ts';

/** One connection with an operator, from the hello to its end. */
export interface ConnectionOptions {
  readonly url: string;
  /** PEM: the only root that is trusted. */
  readonly ca: string;
  readonly readToken: () => Promise<string>;
  readonly logger: Logger;
  readonly monotonic: () => number;
  readonly random: () => number;
  readonly timings: SessionTimings;
  /** Aborted: the connection is closed. */
  readonly signal: AbortSignal;
  /** Called once, where the operator takes this proxy. */
  readonly welcome: (channel: Channel, instance: string) => void;
  /** Called for each message from the welcome on. */
  readonly heard: () => void;
}

/** How a connection ended, and for how long it served; 0 where there was no welcome. */
export interface Ending {
  readonly kind: 'away' | 'refused';
  readonly reason: string;
  readonly servedMs: number;
}

/** So much may wait to be sent; a proxy ships one batch at a time. */
const unsentBytes = 16 * 1_048_576;
/** A peer has two seconds to answer a close frame; an option that the package's types do not know yet. */
const closeTimeout = 2_000;

/** Connects, says hello and stays until the connection ends. Never rejects. */
export async function connectOnce(options: ConnectionOptions): Promise<Ending> {
  const token = await options.readToken().catch(unreadable);
  if (typeof token !== 'string') return { kind: 'away', reason: token.problem, servedMs: 0 };
  if (options.signal.aborted) return { kind: 'away', reason: 'this proxy ends', servedMs: 0 };
  const socketOptions: ClientOptions & { readonly closeTimeout: number } = {
    ca: options.ca,
    maxPayload: operatorMessageBytes,
    perMessageDeflate: false,
    handshakeTimeout: options.timings.silenceMs,
    closeTimeout,
  };
  const socket = new WebSocket(options.url, socketOptions);
  const channel = socketChannel(socket, { unsentBytes });
  const close = (): void => socket.close(1000);
  socket.on('open', () => channel.send(helloText(0, token)));
  options.signal.addEventListener('abort', close);
  const ending = await follow(socket, channel, options);
  options.signal.removeEventListener('abort', close);
  return ending;
}

function follow(socket: WebSocket, channel: Channel, options: ConnectionOptions): Promise<Ending> {
  const { timings, monotonic } = options;
  let at = monotonic();
  let welcomedAt: number | null = null;
  let turnedAway: string | undefined;

  function receive({ text }: Message): void {
    at = monotonic();
    const answer = welcomedAt === null ? readHelloReply(text) : null;
    if (answer !== null && 'reply' in answer) {
      welcomedAt = at;
      options.heard();
      options.welcome(channel, answer.reply.instance);
    } else if (answer !== null) turnedAway = answer.error;
    else if (welcomedAt !== null) options.heard();
  }

  channel.onMessage(receive);
  const watching = setInterval(() => {
    if (monotonic() - at > timings.silenceMs) socket.terminate();
  }, timings.beatMs);
  const renewing = setInterval(() => void renew(channel, options), timings.renewMs * (0.8 + 0.4 * options.random()));
  return new Promise((resolve) => {
    channel.onClose((closing) => {
      clearInterval(watching);
      clearInterval(renewing);
      const servedMs = welcomedAt === null ? 0 : monotonic() - welcomedAt;
      resolve({ kind: isFinal(closing) ? 'refused' : 'away', reason: turnedAway ?? closing.reason, servedMs });
    });
  });
}

/** Shows the newest token, so that the operator never has to judge by one that expired. */
async function renew(channel: Channel, { readToken, logger }: ConnectionOptions): Promise<void> {
  const token = await readToken().catch(unreadable);
  if (typeof token === 'string') channel.send(helloText(0, token));
  else logger.warn(token.problem);
}

function isFinal({ code }: Closing): boolean {
  return code === closeCodes.refused || code === closeCodes.gone;
}

/** From our own operator, of our own version: the shape is taken on trust. */
function readHelloReply(text: string): HelloReply {
  return JSON.parse(text) as HelloReply;
}

function unreadable(error: unknown): { readonly problem: string } {
  const code = (error as { readonly code?: string }).code ?? 'unknown error';
  return { problem: `the service account token cannot be read (${code}): is the volume of the proxy mounted?` };
}
