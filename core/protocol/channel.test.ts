import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { type Channel, decodeFrame, encodeFrame, type Message, portChannel, socketChannel } from './channel.ts';

function received(channel: Channel): readonly Message[] {
  const messages: Message[] = [];
  channel.onMessage((message) => void messages.push(message));
  return messages;
}

test('a frame holds text and bytes, and is read as it was written', () => {
  const frame = encodeFrame('{"é":1}', Buffer.from([0, 255, 7]));
  assert.equal(frame.toString('hex'), '000000087b22c3a9223a317d00ff07');
  assert.deepEqual(decodeFrame(frame), { text: '{"é":1}', bytes: Buffer.from([0, 255, 7]) });
  assert.deepEqual(decodeFrame(encodeFrame('', Buffer.alloc(0))), { text: '', bytes: Buffer.alloc(0) });
});

test('a frame that is shorter than it says is none', () => {
  const frame = encodeFrame('text', Buffer.alloc(0));
  for (let length = 0; length < frame.length; length += 1) assert.equal(decodeFrame(frame.subarray(0, length)), null);
});

test('a message port carries text and bytes, and what came before the first listener waits', async () => {
  const { port1, port2 } = new MessageChannel();
  const [one, two] = [portChannel(port1), portChannel(port2)];
  one.send('first');
  one.send('second', Buffer.from('bytes'));
  port1.postMessage({ neither: true });
  await turn();
  const messages = received(two);
  while (messages.length < 3) await turn();
  assert.deepEqual(
    messages.map(({ text, bytes }) => [text, bytes && Buffer.from(bytes).toString()]),
    [
      ['first', undefined],
      ['second', 'bytes'],
      ['', undefined],
    ],
  );
  const closed = new Promise((resolve) => two.onClose(resolve));
  one.close();
  assert.deepEqual(await closed, { code: 1000, reason: 'the other side closed the channel' });
});

/** A socket; the test plays its other end. */
class FakeSocket extends EventEmitter {
  readyState = 1;
  bufferedAmount = 0;
  readonly sent: (string | Uint8Array)[] = [];
  send(data: string | Uint8Array): void {
    this.sent.push(data);
  }
  close(code = 1005, reason = ''): void {
    this.readyState = 2;
    this.emit('close', code, Buffer.from(reason));
  }
  terminate(): void {
    this.close(1006);
  }
}

test('a socket carries text as text and bytes in a binary frame', () => {
  const socket = new FakeSocket();
  const channel = socketChannel(socket, { unsentBytes: 100 });
  const messages = received(channel);
  channel.send('text');
  channel.send('text', Buffer.from('bytes'));
  const [text, frame] = socket.sent;
  socket.emit('message', Buffer.from(text as string), false);
  socket.emit('message', frame, true);
  assert.deepEqual(messages, [{ text: 'text' }, { text: 'text', bytes: Buffer.from('bytes') }]);
});

test('a peer that leaves too much unread is cut off, and the reason says so', async () => {
  const socket = new FakeSocket();
  const channel = socketChannel(socket, { unsentBytes: 100 });
  const closed = new Promise((resolve) => channel.onClose(resolve));
  socket.bufferedAmount = 100;
  channel.send('one more');
  socket.bufferedAmount = 108;
  channel.send('too many');
  assert.deepEqual(await closed, { code: 1006, reason: 'the other side left 108 bytes unread' });
  channel.send('dropped');
  assert.deepEqual(socket.sent, ['one more']);
});

test('the end is reported once, with the peer’s reason or what went wrong', async () => {
  const ends: string[] = [];
  const [refusing, failing] = [new FakeSocket(), new FakeSocket()];
  for (const socket of [refusing, failing])
    socketChannel(socket, { unsentBytes: 1 }).onClose(({ code, reason }) => void ends.push(`${code} ${reason}`));
  refusing.close(4403, 'no');
  refusing.close(4403, 'no');
  failing.emit('error', new Error('ECONNRESET'));
  failing.close(1006);
  assert.deepEqual(ends, ['4403 no', '1006 ECONNRESET']);
});

test('a frame that cannot be read closes the socket', async () => {
  const socket = new FakeSocket();
  const messages = received(socketChannel(socket, { unsentBytes: 1 }));
  const closed = once(socket, 'close');
  socket.emit('message', Buffer.from([1]), true);
  assert.equal((await closed)[0], 1007);
  assert.deepEqual(messages, []);
});
