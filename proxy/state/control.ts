import type { MessagePort } from 'node:worker_threads';
import { type ControlPort, ControlUnavailable, controlVersion, type Push } from '../../core/control.ts';

/** The control port of an operator at the other end of a message port. */
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
  readonly push?: Push;
}

/**
 * Speaks to `serveControl`: JSON text both ways, and bytes beside it, so that nothing passes here that would not pass a network. A call that
 * is not answered within `timeoutMs` (default 10 s) rejects; the operator may still have done it, which every call bears.
 */
export function connectControl(port: MessagePort, timeoutMs = 10_000): ControlClient {
  const waiting = new Map<number, Waiting>();
  const listeners = new Map<number, (push: Push) => void>();
  let lastId = 0;
  let closed = false;

  function post(id: number, call: string, args: readonly unknown[]): void {
    const [first] = args;
    if (Buffer.isBuffer(first)) port.postMessage({ text: JSON.stringify({ v: controlVersion, id, call, args: [] }), bytes: first });
    else port.postMessage(JSON.stringify({ v: controlVersion, id, call, args }));
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

  function receive(text: string): void {
    const { id, reply, error, watch, push } = JSON.parse(text) as Message;
    if (watch !== undefined && push !== undefined) listeners.get(watch)?.(push);
    const asker = id === undefined ? undefined : waiting.get(id);
    if (id === undefined || asker === undefined) return;
    waiting.delete(id);
    clearTimeout(asker.timer);
    if (error === undefined) asker.resolve(reply);
    else asker.reject(new ControlUnavailable(error));
  }

  function close(): void {
    if (closed) return;
    closed = true;
    port.close();
    listeners.clear();
    for (const { reject, timer } of waiting.values()) {
      clearTimeout(timer);
      reject(gone());
    }
    waiting.clear();
  }

  port.on('message', receive);
  port.on('close', close);

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
      listeners.set(id, listener);
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
