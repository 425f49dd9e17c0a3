import type { WebSocket } from 'ws';
import { type Channel, socketChannel } from '../../core/protocol/channel.ts';
import { type HelloMessage, readCall } from '../../core/protocol/messages.ts';
import { closeCodes, type HelloReply } from '../../core/protocol/session.ts';
import { isRefused, type Refused } from './scope.ts';
import { causeOf, Session, type SessionDeps } from './session.ts';
import { keepAlive, limitRate } from './socket.ts';

/** Waits for a socket's first message, which must be a hello, and opens a session. Calls `onAttested` before the session opens. */
export function receiveHello(socket: WebSocket, deps: SessionDeps, onAttested: () => void): void {
  const { timings, bounds, monotonic } = deps;
  const channel = socketChannel(socket, bounds);
  keepAlive(socket, timings);
  limitRate(socket, bounds.messagesPerSecond, monotonic);
  const late = setTimeout(() => channel.close(closeCodes.helloLate, `no hello within ${timings.helloMs} ms`), timings.helloMs);
  channel.onClose(() => clearTimeout(late));
  const stop = channel.onMessage((data) => {
    stop();
    clearTimeout(late);
    const message = readCall(data);
    if (!('hello' in message))
      return channel.close(closeCodes.protocol, 'bad' in message ? message.bad : 'the first message must be a hello');
    void openSession({ socket, channel, message, onAttested }, deps);
  });
}

interface Greeting {
  readonly socket: WebSocket;
  readonly channel: Channel;
  readonly message: HelloMessage;
  readonly onAttested: () => void;
}

async function openSession({ socket, channel, message, onAttested }: Greeting, deps: SessionDeps): Promise<void> {
  const outcome = await deps.attest(message.hello);
  if (socket.readyState !== socket.OPEN) return;
  if (isRefused(outcome)) return refuse(channel, message.id, outcome, deps);
  try {
    const session = new Session(channel, message.hello, outcome, deps);
    onAttested();
    session.open(message.id);
  } catch (error) {
    deps.logger.error({ err: error }, 'the operator cannot open a session');
    channel.close(closeCodes.unready, 'the operator failed; its log says more');
  }
}

function refuse(channel: Channel, id: number, refused: Refused, deps: SessionDeps): void {
  deps.onRefuse(refused);
  const reply: HelloReply = { id, error: refused.message, code: refused.retry ? 'unready' : 'refused' };
  channel.send(JSON.stringify(reply));
  channel.close(closeCodes[causeOf(refused)], refused.refusal);
}
