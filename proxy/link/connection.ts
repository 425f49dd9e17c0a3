import type { Logger } from 'pino';
import { type ClientOptions, WebSocket } from 'ws';
import { type Channel, type Closing, type Message, socketChannel } from '../../core/protocol/channel.ts';
import { closeCodes, type HelloReply, helloText, operatorMessageBytes, type SessionTimings } from '../../core/protocol/session.ts';

/** Options of one connection to an operator. */
interface ConnectionOptions {
  readonly url: string;
  /** PEM of the only trusted root. */
  readonly ca: string;
  readonly readToken: () => Promise<string>;
  readonly logger: Logger;
  readonly monotonic: () => number;
  readonly random: () => number;
  readonly timings: SessionTimings;
  /** Aborted: the connection is closed. */
  readonly signal: AbortSignal;
  /** Called once, if the operator accepts this proxy. */
  readonly onWelcome: (channel: Channel, instance: string) => void;
  /** Called for each message, the welcome first. */
  readonly onMessage: () => void;
}

/** How a connection ended, and how long after the welcome; 0 if there was no welcome. */
export interface Ending {
  readonly kind: 'away' | 'refused';
  readonly reason: string;
  readonly connectedMs: number;
}

/** Maximum of unsent bytes; a proxy ships one batch at a time. */
const unsentBytes = 16 * 1_048_576;
/** A peer has two seconds to answer a close frame; an option that the package's types do not know yet. */
const closeTimeout = 2_000;

/** Connects, says hello and stays until the connection ends. Never rejects. */
export async function connectOnce(options: ConnectionOptions): Promise<Ending> {
  const token = await options.readToken().catch(unreadable);
  if (typeof token !== 'string') return { kind: 'away', reason: token.problem, connectedMs: 0 };
  if (options.signal.aborted) return { kind: 'away', reason: 'this proxy is shutting down', connectedMs: 0 };
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
  const ending = await new Connection(socket, channel, options).ended();
  options.signal.removeEventListener('abort', close);
  return ending;
}

class Connection {
  readonly #socket: WebSocket;
  readonly #channel: Channel;
  readonly #options: ConnectionOptions;
  #lastMessageAt: number;
  #welcomedAt: number | null = null;
  /** The operator's error in reply to the hello. */
  #rejection: string | undefined;

  constructor(socket: WebSocket, channel: Channel, options: ConnectionOptions) {
    this.#socket = socket;
    this.#channel = channel;
    this.#options = options;
    this.#lastMessageAt = options.monotonic();
  }

  /** Renews the hello and watches for silence until the connection ends. */
  ended(): Promise<Ending> {
    const { timings, random } = this.#options;
    this.#channel.onMessage((message) => this.#receive(message));
    const watching = setInterval(() => this.#endIfSilent(), timings.beatMs);
    const renewing = setInterval(() => void renew(this.#channel, this.#options), timings.renewMs * (0.8 + 0.4 * random()));
    return new Promise((resolve) => {
      this.#channel.onClose((closing) => {
        clearInterval(watching);
        clearInterval(renewing);
        resolve(this.#ending(closing));
      });
    });
  }

  #receive({ text }: Message): void {
    this.#lastMessageAt = this.#options.monotonic();
    if (this.#welcomedAt !== null) this.#options.onMessage();
    else this.#receiveHelloReply(readHelloReply(text));
  }

  #receiveHelloReply(answer: HelloReply): void {
    if ('reply' in answer) {
      this.#welcomedAt = this.#lastMessageAt;
      this.#options.onMessage();
      this.#options.onWelcome(this.#channel, answer.reply.instance);
    } else this.#rejection = answer.error;
  }

  #endIfSilent(): void {
    const { monotonic, timings } = this.#options;
    if (monotonic() - this.#lastMessageAt > timings.silenceMs) this.#socket.terminate();
  }

  #ending(closing: Closing): Ending {
    const connectedMs = this.#welcomedAt === null ? 0 : this.#options.monotonic() - this.#welcomedAt;
    return { kind: isFinal(closing) ? 'refused' : 'away', reason: this.#rejection ?? closing.reason, connectedMs };
  }
}

/** Sends the newest token, so that the operator never reviews an expired one. */
async function renew(channel: Channel, { readToken, logger }: ConnectionOptions): Promise<void> {
  const token = await readToken().catch(unreadable);
  if (typeof token === 'string') channel.send(helloText(0, token));
  else logger.warn(token.problem);
}

function isFinal({ code }: Closing): boolean {
  return code === closeCodes.refused || code === closeCodes.gone;
}

/** Reads the reply to a hello. Both run the same version, so its shape is trusted. */
function readHelloReply(text: string): HelloReply {
  return JSON.parse(text) as HelloReply;
}

function unreadable(error: unknown): { readonly problem: string } {
  const code = (error as { readonly code?: string }).code ?? 'unknown error';
  return { problem: `the service account token cannot be read (${code}): is the volume of the proxy mounted?` };
}
