import type { Channel, Message as Received } from '../../core/protocol/channel.ts';
import { type ControlPort, ControlUnavailable, controlVersion } from '../../core/protocol/control.ts';
import { pushReader, type SentPush } from '../../core/protocol/push.ts';

/** The control port of an operator at the other end of a channel. */
export interface ControlClient extends ControlPort {
  /** Every call that waits, and every later one, rejects with ControlUnavailable. */
  close(): void;
}

interface Waiting {
  readonly resolve: (reply: unknown) => void;
  readonly reject: (error: ControlUnavailable) => void;
  readonly timer: NodeJS.Timeout;
}

interface Message {
  readonly id?: number;
  readonly reply?: unknown;
  readonly error?: string;
  readonly watch?: number;
  readonly push?: SentPush;
}

/**
 * Speaks to `serveControl`: JSON text both ways, and bytes beside it, over whatever channel. A call that is not answered within
 * `timeoutMs` (default 10 s) rejects; the operator may still have done it, which every call bears. A watch that the operator cannot open
 * closes the channel: a proxy that hears of no change is worse than one that connects again.
 */
export function connectControl(channel: Channel, timeoutMs = 10_000): ControlClient {
  const waiting = new Map<number, Waiting>();
  const listeners = new Map<number, (push: SentPush) => void>();
  let lastId = 0;
  let closed = false;

  function post(id: number, call: string, args: readonly unknown[]): void {
    const [first] = args;
    if (Buffer.isBuffer(first)) channel.send(JSON.stringify({ v: controlVersion, id, call }), first);
    else channel.send(JSON.stringify({ v: controlVersion, id, call, args }));
  }

  // The replies come from our own operator, of our own version: their shapes are taken on trust.
  function ask<T>(call: keyof ControlPort, ...args: readonly unknown[]): Promise<T> {
    if (closed) return Promise.reject(gone());
    lastId += 1;
    const id = lastId;
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.delete(id);
        reject(new ControlUnavailable(`the operator did not answer ${call} within ${timeoutMs} ms`));
      }, timeoutMs);
      waiting.set(id, { resolve: resolve as Waiting['resolve'], reject, timer });
      post(id, call, args);
    });
  }

  function receive({ text }: Received): void {
    const { id, reply, error, watch, push } = JSON.parse(text) as Message;
    if (watch !== undefined && push !== undefined) listeners.get(watch)?.(push);
    if (id !== undefined && error !== undefined && listeners.has(id)) channel.close(1000, `a watch failed: ${error.slice(0, 80)}`);
    const asker = id === undefined ? undefined : waiting.get(id);
    if (id === undefined || asker === undefined) return;
    waiting.delete(id);
    clearTimeout(asker.timer);
    if (error === undefined) asker.resolve(reply);
    else asker.reject(new ControlUnavailable(error));
  }

  function end(): void {
    if (closed) return;
    closed = true;
    listeners.clear();
    for (const { reject, timer } of waiting.values()) {
      clearTimeout(timer);
      reject(gone());
    }
    waiting.clear();
  }

  function close(): void {
    end();
    channel.close();
  }

  channel.onMessage(receive);
  channel.onClose(end);

  return {
    open: (request) => ask('open', request),
    ship: ({ entries }) => ask('ship', entries),
    grant: (request) => ask('grant', request),
    account: (key) => ask('account', key),
    mint: (parent, spec) => ask('mint', parent, spec),
    children: (parent) => ask('children', parent),
    unmint: (parent, child) => ask('unmint', parent, child),
    watch(listener) {
      if (closed) return () => {};
      lastId += 1;
      const id = lastId;
      const read = pushReader();
      listeners.set(id, (push) => listener(read(push)));
      post(id, 'watch', []);
      return () => {
        if (!listeners.delete(id) || closed) return;
        lastId += 1;
        post(lastId, 'unwatch', [id]);
      };
    },
    close,
  };
}

function gone(): ControlUnavailable {
  return new ControlUnavailable('the operator is gone');
}
