import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { KeyName } from '../../core/names.ts';
import type { Channel, Message } from '../../core/protocol/channel.ts';
import type { ChildSpec } from '../../core/protocol/children.ts';
import type { ControlPort } from '../../core/protocol/control.ts';
import type { OpenRequest } from '../../core/protocol/evidence.ts';
import { type CallMessage, readCall } from '../../core/protocol/messages.ts';
import type { GrantRequest } from '../../core/protocol/money.ts';
import { pushWriter } from '../../core/protocol/push.ts';

/** More than one proxy ever has at once. */
const mostWatches = 16;

/**
 * Serves a control port over a channel: JSON text, `{"v":1,"id","call","args"}` → `{"id","reply"}` or `{"id","error"}`
 * (entries come as bytes beside the text), and for a `watch` with id 7 any number of `{"watch":7,"push"}`. Replies and pushes keep the order in which they were made.
 * `onHello` gets the hellos of a session that is open already. Returns how to stop: then nothing more is read.
 */
export function serveControl(channel: Channel, control: ControlPort, logger: Logger, onHello?: (token: string) => void): () => void {
  const watches = new Map<number, () => void>();
  const send = (message: object): void => channel.send(JSON.stringify(message));

  async function answer({ id, call, args }: CallMessage): Promise<void> {
    try {
      send({ id, reply: (await perform(id, call, args)) ?? null });
    } catch (error) {
      // What went wrong inside stays inside; the id leads to the log.
      const errorId = randomUUID();
      logger.error({ err: error, errorId, call }, 'a control call failed');
      send({ id, error: `the operator failed (error ${errorId}); its log says more` });
    }
  }

  // The casts hold since readCall checked each shape.
  function perform(id: number, call: CallMessage['call'], args: readonly unknown[]): Promise<unknown> | null {
    switch (call) {
      case 'open':
        return control.open(args[0] as OpenRequest);
      case 'ship':
        return control.ship({ entries: asBuffer(args[0] as Uint8Array) });
      case 'grant':
        return control.grant(args[0] as GrantRequest);
      case 'account':
        return control.account(args[0] as KeyName);
      case 'mint':
        return control.mint(args[0] as KeyName, args[1] as ChildSpec);
      case 'children':
        return control.children(args[0] as KeyName);
      case 'unmint':
        return control.unmint(args[0] as KeyName, args[1] as KeyName);
      case 'watch':
        if (watches.size >= mostWatches) throw new RangeError(`more than ${mostWatches} watches`);
        watches.set(id, watch(id));
        return null;
      case 'unwatch':
        watches.get(args[0] as number)?.();
        watches.delete(args[0] as number);
        return null;
    }
  }

  function watch(id: number): () => void {
    const write = pushWriter();
    return control.watch((push) => channel.send(`{"watch":${id},"push":${write(push)}}`));
  }

  function receive(data: Message): void {
    const message = readCall(data);
    if ('hello' in message) {
      if (onHello === undefined) send({ id: message.id, error: 'no hello is needed here' });
      else onHello(message.hello);
    } else if (!('bad' in message)) void answer(message);
    else if (message.id !== null) send({ id: message.id, error: message.bad });
    else logger.warn(`a control message was dropped: ${message.bad}`);
  }

  const ignore = channel.onMessage(receive);
  channel.onClose(stop);

  function stop(): void {
    ignore();
    for (const unwatch of watches.values()) unwatch();
    watches.clear();
    channel.close();
  }

  return stop;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
