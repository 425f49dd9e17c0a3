import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { pino } from 'pino';
import { keyName, streamId } from '../../core/names.ts';
import { portChannel } from '../../core/protocol/channel.ts';
import { type ControlPort, ControlUnavailable } from '../../core/protocol/control.ts';
import { connectControl } from '../../proxy/link/client.ts';
import { openBench } from '../broker.fixture.ts';
import { conformanceKeys, controlConformance, type Subject } from './conformance.ts';
import { serveControl } from './port.ts';

async function open(): Promise<Subject> {
  const bench = openBench();
  assert.deepEqual(bench.declare(conformanceKeys), []);
  const { port1, port2 } = new MessageChannel();
  const stop = serveControl(portChannel(port1), bench.broker, pino({ level: 'silent' }));
  const control = connectControl(portChannel(port2));
  return {
    control,
    another: async () => control,
    cut: stop,
    async close() {
      control.close();
      stop();
      bench.close();
    },
  };
}

controlConformance('in process', open);

async function rawReply(message: unknown): Promise<unknown> {
  const { port1, port2 } = new MessageChannel();
  const bench = openBench();
  const stop = serveControl(portChannel(port1), bench.broker, pino({ level: 'silent' }));
  port2.postMessage(typeof message === 'string' ? message : JSON.stringify(message));
  const [reply] = await once(port2, 'message');
  stop();
  bench.close();
  return JSON.parse(reply as string);
}

test('a proxy of another version is refused with advice to run the same version', async () => {
  const reply = (await rawReply({ v: 2, id: 1, call: 'account', args: ['agents/bot'] })) as { error: string };
  assert.match(reply.error, /speaks version 1/);
});

test('malformed arguments are refused at the boundary', async () => {
  for (const [call, args] of [
    ['grant', [{ stream: 'x' }]],
    ['account', ['../etc/passwd']],
    ['mint', ['agents/bot', { usd: '5.00' }]],
    ['mint', ['agents/bot', { usdNano: -1 }]],
    ['ship', [{ entries: [{ stream: 'x', epoch: 0.5 }] }]],
    ['__proto__', []],
    ['open', []],
  ] as const) {
    const reply = (await rawReply({ v: 1, id: 3, call, args })) as { id: number; error: string };
    assert.equal(reply.id, 3);
    assert.match(reply.error, /malformed|unknown call/, call);
  }
});

test('a failure inside the operator is reported with an id and nothing else', async () => {
  const reply = (await rawReply({ v: 1, id: 9, call: 'account', args: ['agents/bot'] })) as { error: string };
  assert.match(reply.error, /^the operator failed \(error [-0-9a-f]{36}\)/);
});

test('a call that is not answered in time is rejected', async () => {
  const { port1, port2 } = new MessageChannel();
  const control = connectControl(portChannel(port2), 20);
  await assert.rejects(control.children('agents/bot' as never), ControlUnavailable);
  control.close();
  port1.close();
});

test('a request that is held has so much longer for its answer; when its connection is lost, it is taken back', async () => {
  const { port1, port2 } = new MessageChannel();
  const taken = Promise.withResolvers<void>();
  const holding = {
    grant: (_: unknown, signal: AbortSignal) => new Promise(() => signal.addEventListener('abort', () => taken.resolve())),
  } as unknown as ControlPort;
  const stop = serveControl(portChannel(port1), holding, pino({ level: 'silent' }));
  const control = connectControl(portChannel(port2), 20);
  const figures = { atLeastNano: 1, preferredNano: 1, boundNano: 1, wantNano: 1, atLeastRequests: 0, wantRequests: 0, tokens: 0 } as const;
  const wait = { waitedMs: 0, maxWaitMs: 60_000, holdMs: 60_000, others: [] };
  const stream = streamId(keyName('agents', 'bot'), 'p');
  const held = control.grant({ stream, epoch: 1, head: 0, askId: 'a', ...figures, wait }).catch((error: unknown) => error);
  assert.equal(await Promise.race([held, sleep(100, 'held')]), 'held');
  control.close();
  assert.ok((await held) instanceof ControlUnavailable);
  await taken.promise;
  stop();
});
