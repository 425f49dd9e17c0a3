import type { Channel, Message } from '../../core/protocol/channel.ts';
import { type ControlPort, ControlUnavailable, controlVersion } from '../../core/protocol/control.ts';
import type { GrantReply } from '../../core/protocol/money.ts';
import { pushReader, type SentPush } from '../../core/protocol/push.ts';
import type { Push } from '../../core/protocol/snapshot.ts';

/** The control port of an operator at the other end of a channel. */
export interface ControlClient extends ControlPort {
  /** Rejects every pending and every later call with ControlUnavailable. */
  close(): void;
}

interface WaitingCall {
  readonly resolve: (reply: unknown) => void;
  readonly reject: (error: ControlUnavailable) => void;
  readonly timer: NodeJS.Timeout;
}

/** A message of the operator. */
interface OperatorMessage {
  readonly id?: number;
  readonly reply?: unknown;
  readonly error?: string;
  readonly watch?: number;
  readonly push?: SentPush;
}

/**
 * The client of `serveControl`, over any channel: JSON text both ways, with bytes beside it. A call without a reply within
 * `timeoutMs` (default 10 s) rejects. The operator may still have carried it out, and every call may be repeated. If the
 * operator cannot open a watch, the channel closes, because the proxy would learn of no change; it then connects again.
 */
export function connectControl(channel: Channel, timeoutMs = 10_000): ControlClient {
  const client = new ChannelClient(channel, timeoutMs);
  channel.onMessage((message) => client.receive(message));
  channel.onClose(() => client.end());
  return client;
}

class ChannelClient implements ControlClient {
  readonly #channel: Channel;
  readonly #timeoutMs: number;
  readonly #waiting = new Map<number, WaitingCall>();
  readonly #listeners = new Map<number, (push: SentPush) => void>();
  #lastId = 0;
  #closed = false;

  readonly open: ControlPort['open'] = (request) => this.#call('open', [request]);
  readonly ship: ControlPort['ship'] = ({ entries }) => this.#call('ship', [entries]);

  readonly account: ControlPort['account'] = (key) => this.#call('account', [key]);
  readonly answerTokens: ControlPort['answerTokens'] = (key, answerSha256) => this.#call('answerTokens', [key, answerSha256]);
  readonly mint: ControlPort['mint'] = (parent, spec) => this.#call('mint', [parent, spec]);
  readonly children: ControlPort['children'] = (parent) => this.#call('children', [parent]);
  readonly unmint: ControlPort['unmint'] = (parent, child) => this.#call('unmint', [parent, child]);

  /** The ledger may hold a request for a while; the time without an answer begins after that. */
  readonly grant: ControlPort['grant'] = (request, signal) => {
    const id = this.#nextId();
    const reply = this.#call<GrantReply>('grant', [request], { id, timeoutMs: this.#timeoutMs + (request.wait?.holdMs ?? 0) });
    signal?.addEventListener('abort', () => this.#cancel(id), { once: true });
    return reply;
  };

  constructor(channel: Channel, timeoutMs: number) {
    this.#channel = channel;
    this.#timeoutMs = timeoutMs;
  }

  watch(listener: (push: Push) => void): () => void {
    if (this.#closed) return () => {};
    const read = pushReader();
    const id = this.#nextId();
    this.#listeners.set(id, (push) => listener(read(push)));
    this.#post(id, 'watch', []);
    return () => {
      if (this.#listeners.delete(id) && !this.#closed) this.#post(this.#nextId(), 'unwatch', [id]);
    };
  }

  close(): void {
    this.end();
    this.#channel.close();
  }

  /** Handles a message of the operator. Both run the same version, so its shape is trusted. */
  receive({ text }: Message): void {
    const { id, reply, error, watch, push } = JSON.parse(text) as OperatorMessage;
    if (watch !== undefined && push !== undefined) this.#listeners.get(watch)?.(push);
    if (id === undefined) return;
    if (error !== undefined && this.#listeners.has(id)) this.#channel.close(1000, `a watch failed: ${error.slice(0, 80)}`);
    const call = this.#waiting.get(id);
    if (call === undefined) return;
    this.#waiting.delete(id);
    clearTimeout(call.timer);
    if (error === undefined) call.resolve(reply);
    else call.reject(new ControlUnavailable(error));
  }

  /** The channel has closed, or is about to. */
  end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#listeners.clear();
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(gone());
    }
    this.#waiting.clear();
  }

  #cancel(id: number): void {
    if (this.#waiting.has(id)) this.#post(this.#nextId(), 'cancel', [id]);
  }

  #call<T>(name: keyof ControlPort, args: readonly unknown[], { id = this.#nextId(), timeoutMs = this.#timeoutMs } = {}): Promise<T> {
    if (this.#closed) return Promise.reject(gone());
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new ControlUnavailable(`the operator did not answer ${name} within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#waiting.set(id, { resolve: resolve as WaitingCall['resolve'], reject, timer });
      this.#post(id, name, args);
    });
  }

  #post(id: number, call: string, args: readonly unknown[]): void {
    const [first] = args;
    if (Buffer.isBuffer(first)) this.#channel.send(JSON.stringify({ v: controlVersion, id, call }), first);
    else this.#channel.send(JSON.stringify({ v: controlVersion, id, call, args }));
  }

  #nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }
}

function gone(): ControlUnavailable {
  return new ControlUnavailable('the connection to the operator is closed');
}
