import { randomUUID } from 'node:crypto';
import type { MessagePort } from 'node:worker_threads';
import type { Logger } from 'pino';
import type { ChildSpec, ControlPort, GrantAsk, OpenAsk } from '../../core/control.ts';
import type { KeyName } from '../../core/key.ts';
import { type CallMessage, readCall } from './messages.ts';

/**
 * Serves a control port over a message port: JSON text, `{"v":1,"id","call","args"}` → `{"id","reply"}` or `{"id","error"}`
 * (entries come as bytes beside the text), and for a `watch` with id 7 any number of `{"watch":7,"push"}`. Replies and pushes keep the order in which they were made.
 * Returns how to stop.
 */
export function serveControl(port: MessagePort, control: ControlPort, logger: Logger): () => void {
  const watches = new Map<number, () => void>();
  const send = (message: object): void => port.postMessage(JSON.stringify(message));

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
        return control.open(args[0] as OpenAsk);
      case 'ship':
        return control.ship({ entries: asBuffer(args[0] as Uint8Array) });
      case 'grant':
        return control.grant(args[0] as GrantAsk);
      case 'account':
        return control.account(args[0] as KeyName);
      case 'mint':
        return control.mint(args[0] as KeyName, args[1] as ChildSpec);
      case 'children':
        return control.children(args[0] as KeyName);
      case 'unmint':
        return control.unmint(args[0] as KeyName, args[1] as KeyName);
      case 'watch':
        watches.set(
          id,
          control.watch((push) => send({ watch: id, push })),
        );
        return null;
      case 'unwatch':
        watches.get(args[0] as number)?.();
        watches.delete(args[0] as number);
        return null;
    }
  }

  function receive(data: unknown): void {
    const message = readCall(data);
    if (!('bad' in message)) void answer(message);
    else if (message.id !== null) send({ id: message.id, error: message.bad });
    else logger.warn(`a control message was dropped: ${message.bad}`);
  }

  function stop(): void {
    for (const unwatch of watches.values()) unwatch();
    watches.clear();
    port.close();
  }

  port.on('message', receive);
  port.on('close', stop);
  return stop;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
