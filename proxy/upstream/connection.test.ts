import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { expectKind, type Testbed, testbed } from './testbed.ts';
import type { AttemptFact, Flight, UpstreamAnswer } from './types.ts';

const ok = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}';

interface Request {
  readonly socket: Socket;
  /** Of all sockets, from 1. */
  readonly socketNumber: number;
  /** On its socket, from 1. */
  readonly number: number;
}

/** A provider of raw sockets, one chunk a request. */
async function rawBed(t: TestContext, onRequest: (request: Request) => void, briefKeepAliveMs = 4000): Promise<Testbed> {
  let sockets = 0;
  const server = createServer((socket) => {
    sockets += 1;
    const socketNumber = sockets;
    let number = 0;
    socket.on('error', () => {});
    socket.on('data', () => {
      number += 1;
      onRequest({ socket, socketNumber, number });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  return testbed(t, () => {}, { endpoint: `http://127.0.0.1:${port}`, settings: { briefKeepAliveMs } });
}

/** Makes calls at once, each on a connection of its own, and waits until all are idle. */
async function warm(bed: Testbed, calls = 1): Promise<void> {
  await Promise.all(Array.from({ length: calls }, () => expectKind(bed.call(), 'answer')));
  await setTimeout(20);
}

function outcomes({ attempts }: UpstreamAnswer): readonly AttemptFact['outcome'][] {
  return attempts.map(({ outcome }) => outcome);
}

/** Answers, but resets the first socket at its second request. */
function resetOnReuse({ socket, socketNumber, number }: Request): void {
  if (socketNumber === 1 && number === 2) socket.resetAndDestroy();
  else socket.write(ok);
}

test('a request that is lost on a reused connection is sent again once, where its own reservation pays; the lost one may have been billed', async (t) => {
  const bed = await rawBed(t, resetOnReuse);
  await warm(bed);
  const log: string[] = [];
  const answer = await expectKind(
    bed.call({
      onAttempt: () => log.push('attempt'),
      onAttemptEnd: ({ outcome }) => log.push(outcome),
      onResend: () => log.push('resend') > 0,
    }),
    'answer',
  );
  assert.deepEqual(outcomes(answer), ['unknown', 'answered']);
  assert.deepEqual(log, ['attempt', 'unknown', 'resend', 'attempt', 'answered']);
});

test('a lost request is not sent again without a reservation for it', async (t) => {
  for (const onResend of [() => false, () => Promise.resolve(false), undefined]) {
    const bed = await rawBed(t, resetOnReuse);
    await warm(bed);
    const { refusal, ...answer } = await expectKind(bed.call(onResend === undefined ? {} : { onResend }), 'refusal');
    assert.deepEqual([refusal.code, outcomes({ refusal, ...answer })], ['provider_error', ['unknown']]);
  }
});

test('a request is sent again once only', async (t) => {
  const bed = await rawBed(t, ({ socket, number }) => {
    if (number === 1) void setTimeout(10).then(() => socket.write(ok));
    else socket.resetAndDestroy();
  });
  await warm(bed, 3);
  const others: Flight[] = [];
  // Another call takes the connection that opens, so that this one is sent on an idle one again.
  const onResend = (): boolean => others.push(bed.call()) > 0;
  const answer = await expectKind(bed.call({ onResend }), 'refusal');
  assert.deepEqual([others.length, outcomes(answer)], [1, ['unknown', 'unknown']]);
  await Promise.all(others.map((other) => expectKind(other, 'answer')));
});

test('a request is not sent again on a first connection, nor after one byte of an answer', async (t) => {
  const first = await rawBed(t, ({ socket }) => socket.resetAndDestroy());
  const fresh = await expectKind(first.call({ onResend: () => assert.fail('the connection was new') }), 'refusal');
  assert.deepEqual(outcomes(fresh), ['unknown']);
  const begun = await rawBed(t, ({ socket, number }) => {
    if (number === 1) socket.write(ok);
    else socket.end('H');
  });
  await warm(begun);
  const answer = await expectKind(begun.call({ onResend: () => assert.fail('an answer had begun') }), 'refusal');
  assert.deepEqual(outcomes(answer), ['unknown']);
});

test('a connection that closed while it was idle is not used: one attempt, on a new one', async (t) => {
  const bed = await rawBed(t, ({ socket, socketNumber }) => {
    socket.write(ok);
    if (socketNumber === 1) void setTimeout(1).then(() => socket.end());
  });
  await warm(bed);
  assert.deepEqual(outcomes(await expectKind(bed.call(), 'answer')), ['answered']);
});

/** A server on another thread. It resets its first socket, and then wakes `gate`, when a message arrives. */
const resetter = `
  const { parentPort, workerData } = require('node:worker_threads');
  let first;
  const server = require('node:net').createServer((socket) => {
    first ??= socket;
    socket.on('error', () => {});
    socket.on('data', () => socket.write(${JSON.stringify(ok)}));
  });
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));
  parentPort.on('message', () => {
    first.resetAndDestroy();
    setTimeout(() => Atomics.notify(workerData, 0, Atomics.store(workerData, 0, 1)), 20);
  });
`;

test('a reset that arrived before the first byte was written costs nothing, and needs no other reservation', async (t) => {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(resetter, { eval: true, workerData: gate });
  t.after(() => worker.terminate());
  const [port] = (await once(worker, 'message')) as [number];
  const bed = await testbed(t, () => {}, { endpoint: `http://127.0.0.1:${port}` });
  await warm(bed);
  // Between undici's last look at the socket and its write.
  setImmediate(() => {
    worker.postMessage('reset');
    Atomics.wait(gate, 0, 0, 5000);
  });
  const answer = await expectKind(bed.call({ onResend: () => assert.fail('nothing was sent') }), 'answer');
  assert.deepEqual(outcomes(answer), ['not_sent', 'answered']);
});

test('idle connections over plain HTTP are closed soon, whatever time the server names', { timeout: 5000 }, async (t) => {
  const closed = Promise.withResolvers<void>();
  const hinted = ok.replace('content-type', 'keep-alive: timeout=600\r\ncontent-type');
  const bed = await rawBed(
    t,
    ({ socket }) => {
      socket.on('close', () => closed.resolve());
      socket.write(hinted);
    },
    50,
  );
  await warm(bed);
  await closed.promise;
});
