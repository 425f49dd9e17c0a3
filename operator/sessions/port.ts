import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { type KeyName, storedKey } from '../../core/names.ts';
import type { Channel, Message } from '../../core/protocol/channel.ts';
import type { ChildSpec } from '../../core/protocol/children.ts';
import type { ControlPort } from '../../core/protocol/control.ts';
import type { OpenRequest } from '../../core/protocol/evidence.ts';
import { type CallMessage, readCall } from '../../core/protocol/messages.ts';
import type { GrantReply, GrantRequest } from '../../core/protocol/money.ts';
import { pushWriter } from '../../core/protocol/push.ts';
import type { Push } from '../../core/protocol/snapshot.ts';

/** Maximum of watches: more than one proxy ever needs at once. */
const maxWatches = 16;

/** Hooks of a session into the messages of its port. */
interface PortHooks {
  /** Called with each hello of an open session; absent: a hello is answered with an error. */
  readonly onHello?: (token: string) => void;
  /** Called before each push is sent. */
  readonly onPush?: (push: Push) => void;
}

/**
 * Serves a control port over a channel: JSON text, `{"v":1,"id","call","args"}` → `{"id","reply"}` or `{"id","error"}`
 * (with entries as bytes beside the text), and for a `watch` with id 7 any number of `{"watch":7,"push"}`. Replies and pushes
 * keep the order in which they were made. Returns a function that stops reading.
 */
export function serveControl(channel: Channel, control: ControlPort, logger: Logger, hooks: PortHooks = {}): () => void {
  const server = new PortServer(channel, control, logger, hooks);
  server.start();
  return () => server.stop();
}

class PortServer {
  readonly #channel: Channel;
  readonly #control: ControlPort;
  readonly #logger: Logger;
  readonly #hooks: PortHooks;
  /** The stop function of each watch, by its id. */
  readonly #watches = new Map<number, () => void>();
  /** The requests for grants without an answer, by id. */
  readonly #grants = new Map<number, AbortController>();
  #ignoreMessages = (): void => {};

  constructor(channel: Channel, control: ControlPort, logger: Logger, hooks: PortHooks) {
    this.#channel = channel;
    this.#control = control;
    this.#logger = logger;
    this.#hooks = hooks;
  }

  start(): void {
    this.#ignoreMessages = this.#channel.onMessage((message) => this.#receive(message));
    this.#channel.onClose(() => this.stop());
  }

  stop(): void {
    this.#ignoreMessages();
    for (const unwatch of this.#watches.values()) unwatch();
    this.#watches.clear();
    for (const controller of this.#grants.values()) controller.abort();
    this.#channel.close();
  }

  #receive(data: Message): void {
    const { onHello } = this.#hooks;
    const message = readCall(data);
    if ('hello' in message) {
      if (onHello === undefined) this.#send({ id: message.id, error: 'this port takes no hello' });
      else onHello(message.hello);
    } else if (!('bad' in message)) void this.#answer(message);
    else if (message.id !== null) this.#send({ id: message.id, error: message.bad });
    else this.#logger.warn(`the operator dropped a control message: ${message.bad}`);
  }

  async #answer({ id, call, args }: CallMessage): Promise<void> {
    try {
      this.#send({ id, reply: (await this.#perform(id, call, args)) ?? null });
    } catch (error) {
      // Details of a failure stay in the operator; the id leads to its log.
      const errorId = randomUUID();
      this.#logger.error({ err: error, errorId, call }, 'a control call failed');
      this.#send({ id, error: `the operator failed (error ${errorId}); its log says more` });
    }
  }

  // The casts are safe, because readCall has checked each shape.
  #perform(id: number, call: CallMessage['call'], args: readonly unknown[]): Promise<unknown> | null {
    const control = this.#control;
    switch (call) {
      case 'open':
        return control.open(args[0] as OpenRequest);
      case 'ship':
        return control.ship({ entries: asBuffer(args[0] as Uint8Array) });
      case 'grant':
        return this.#grant(id, args[0] as GrantRequest);
      case 'account':
        return control.account(keyIn(args, 0));
      case 'answerTokens':
        return control.answerTokens(keyIn(args, 0), args[1] as string);
      case 'mint':
        return control.mint(keyIn(args, 0), args[1] as ChildSpec);
      case 'children':
        return control.children(keyIn(args, 0));
      case 'unmint':
        return control.unmint(keyIn(args, 0), keyIn(args, 1));
      case 'watch':
        if (this.#watches.size >= maxWatches) throw new RangeError(`more than ${maxWatches} watches`);
        this.#watches.set(id, this.#watch(id));
        return null;
      case 'unwatch':
        this.#watches.get(args[0] as number)?.();
        this.#watches.delete(args[0] as number);
        return null;
      case 'cancel':
        this.#grants.get(args[0] as number)?.abort();
        return null;
    }
  }

  async #grant(id: number, request: GrantRequest): Promise<GrantReply> {
    const controller = new AbortController();
    this.#grants.set(id, controller);
    try {
      return await this.#control.grant(request, controller.signal);
    } finally {
      this.#grants.delete(id);
    }
  }

  #watch(id: number): () => void {
    const { onPush } = this.#hooks;
    const write = pushWriter();
    return this.#control.watch((push) => {
      onPush?.(push);
      this.#channel.send(`{"watch":${id},"push":${write(push)}}`);
    });
  }

  #send(message: object): void {
    this.#channel.send(JSON.stringify(message));
  }
}

function keyIn(args: readonly unknown[], index: number): KeyName {
  return storedKey(args[index] as string);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
