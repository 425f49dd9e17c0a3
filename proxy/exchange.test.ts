import assert from 'node:assert/strict';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { request } from 'node:http';
import { type TestContext, test } from 'node:test';
import { setImmediate as settled } from 'node:timers/promises';
import { refuse } from '../core/errors.ts';
import type { TokenId } from '../core/names.ts';
import { geminiGenerate } from './dialect/gemini/requests.ts';
import { openaiChat } from './dialect/openai/chat.ts';
import type { Dialect } from './dialect/types.ts';
import { Exchange } from './exchange.ts';
import type { InFlight } from './link/active-keys.ts';
import { serve } from './upstream/testbed.ts';

const deleted = refuse('key_revoked', 'The key was deleted.');

interface World {
  readonly exchange: Exchange;
  readonly inFlight: Set<InFlight>;
  readonly client: ClientRequest;
  /** How often an abandoned exchange was acted on, and how often that was over. */
  readonly acted: { begun: number; over: number };
  act(): () => void;
  /** The answer: its status, and its text or `cut`. */
  readonly answer: Promise<{ readonly status: number; readonly text: string }>;
  /** Resolves when the server has seen the connection end. */
  readonly closed: Promise<void>;
}

/** A client that has asked, and the exchange of its request. */
async function converse(t: TestContext, dialect: Dialect = openaiChat): Promise<World> {
  const inFlight = new Set<InFlight>();
  const { promise, resolve } = Promise.withResolvers<Pick<World, 'exchange' | 'closed'>>();
  const origin = await serve(t, (incoming, response) => {
    const exchange = new Exchange({ request: incoming, response, id: 'req_1', startedMs: 5, tokenId: 't' as TokenId, dialect, inFlight });
    resolve({ exchange, closed: new Promise((done) => response.on('close', () => done())) });
  });
  const client = request(origin, { method: 'POST', agent: false });
  const answer = new Promise<IncomingMessage>((done, fail) => client.on('response', done).on('error', fail)).then(read);
  answer.catch(() => {});
  client.end('{}');
  const acted = { begun: 0, over: 0 };
  return {
    ...(await promise),
    inFlight,
    client,
    answer,
    acted,
    act() {
      acted.begun += 1;
      return () => {
        acted.over += 1;
      };
    },
  };
}

async function read(response: IncomingMessage): Promise<{ status: number; text: string }> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return { status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() };
}

test('an exchange is in flight until it is disposed, which also says that it is finished', async (t) => {
  const { exchange, inFlight } = await converse(t);
  assert.deepEqual([...inFlight], [exchange]);
  let finished = false;
  void exchange.finished.then(() => {
    finished = true;
  });
  await settled();
  assert.equal(finished, false);
  exchange[Symbol.dispose]();
  await settled();
  assert.deepEqual([finished, inFlight.size], [true, 0]);
});

test('an answer that goes out whole abandons nothing', async (t) => {
  const world = await converse(t);
  world.exchange.whenAbandoned(world.act);
  world.exchange.response.end('whole');
  assert.equal((await world.answer).text, 'whole');
  await world.closed;
  assert.deepEqual([world.exchange.abandoned, world.exchange.clientLeft, world.acted], [false, false, { begun: 0, over: 0 }]);
});

for (const [when, start] of [
  ['before the head', () => {}],
  ['after the head', ({ exchange }: World) => void exchange.response.writeHead(200).write('data: {}\n\n')],
] as const) {
  test(`a client that leaves ${when} abandons the exchange once; that is over when the exchange is`, async (t) => {
    const world = await converse(t);
    const { exchange, acted } = world;
    exchange.whenAbandoned(world.act);
    start(world);
    world.client.destroy();
    await world.closed;
    assert.deepEqual([exchange.clientLeft, exchange.abandoned, exchange.ended], [true, true, null]);
    assert.deepEqual(acted, { begun: 1, over: 0 });
    exchange.end(deleted);
    assert.deepEqual([exchange.ended, acted], [null, { begun: 1, over: 0 }]);
    exchange[Symbol.dispose]();
    assert.deepEqual(acted, { begun: 1, over: 1 });
  });
}

test('what is to be done when the exchange is abandoned is done at once where it was', async (t) => {
  const world = await converse(t);
  world.client.destroy();
  await world.closed;
  world.exchange.whenAbandoned(world.act);
  assert.deepEqual(world.acted, { begun: 1, over: 0 });
});

test('a later way of being abandoned takes the place of an earlier one, which is over then', async (t) => {
  const world = await converse(t);
  const { exchange, acted } = world;
  exchange.whenAbandoned(() => assert.fail('it was replaced'));
  exchange.whenAbandoned(world.act);
  exchange.end(deleted);
  assert.deepEqual(acted, { begun: 1, over: 0 });
  exchange.whenAbandoned(world.act);
  assert.deepEqual(acted, { begun: 2, over: 1 });
  exchange[Symbol.dispose]();
  assert.deepEqual(acted, { begun: 2, over: 2 });
});

test('an end before the head is a refusal in the caller’s dialect, once', async (t) => {
  const world = await converse(t);
  const { exchange } = world;
  exchange.whenAbandoned(world.act);
  exchange.end(deleted);
  exchange.end(refuse('key_expired', 'Expired.'));
  const { status, text } = await world.answer;
  assert.deepEqual([status, JSON.parse(text).error.code], [401, 'key_revoked']);
  await world.closed;
  assert.deepEqual([exchange.ended, exchange.abandoned, exchange.clientLeft], [deleted, true, false]);
  assert.deepEqual(world.acted, { begun: 1, over: 0 });
});

test('an end after the head is the dialect’s error event, once and last', async (t) => {
  const world = await converse(t);
  const { exchange } = world;
  exchange.response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: {}\n\n');
  exchange.end(deleted);
  exchange.end(deleted);
  const { status, text } = await world.answer;
  assert.equal(status, 200);
  const events = text.split('\n\n').filter((event) => event !== '');
  assert.equal(events.length, 2);
  assert.equal(JSON.parse(events[1]?.replace('data: ', '') ?? '').error.code, 'key_revoked');
});

test('a client that leaves while it is told why the call ends abandons nothing anew', async (t) => {
  const world = await converse(t);
  world.exchange.whenAbandoned(world.act);
  world.exchange.response.socket?.destroy();
  world.exchange.end(deleted);
  await world.closed;
  assert.deepEqual([world.acted, world.exchange.clientLeft], [{ begun: 1, over: 0 }, false]);
});

test('a stream in a JSON array ends as its meter has it framed', async (t) => {
  const world = await converse(t, geminiGenerate);
  const { exchange } = world;
  const meter = geminiGenerate.meterStream('keep');
  exchange.streams(meter);
  exchange.response.writeHead(200);
  for (const bytes of meter.push(Buffer.from('[{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}\n'))) exchange.response.write(bytes);
  exchange.end(deleted);
  const items = JSON.parse((await world.answer).text);
  assert.equal(items.at(-1).error.status, 'UNAUTHENTICATED');
});

test('a call whose answer has gone out already cannot be ended any more', async (t) => {
  const world = await converse(t);
  world.exchange.response.end('whole');
  world.exchange.end(deleted);
  assert.deepEqual([world.exchange.ended, (await world.answer).text], [null, 'whole']);
});

test('after it is disposed a client that leaves is nobody’s concern', async (t) => {
  const world = await converse(t);
  world.exchange.whenAbandoned(world.act);
  world.exchange[Symbol.dispose]();
  world.client.destroy();
  await world.closed;
  assert.deepEqual(world.acted, { begun: 0, over: 0 });
});
