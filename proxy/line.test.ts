import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import type { CallBody } from '../core/audit/types.ts';
import { refuse } from '../core/errors.ts';
import { mintToken } from '../core/token.ts';
import { bot, createWorld, poolDocument, type World } from './line.fixture.ts';
import { serve as serveLine } from './line.ts';
import type { InFlight } from './link/active-keys.ts';
import { serve } from './upstream/testbed.ts';

interface Upload {
  readonly world: World;
  readonly socket: Socket;
  readonly call: InFlight;
  /** All that came back. */
  text(): string;
}

/** A client that has sent half of its request. */
async function upload(t: TestContext): Promise<Upload> {
  const world = createWorld(t);
  const begun = Promise.withResolvers<void>();
  const origin = await serve(t, (request, response) => {
    void serveLine(world.context, request, response);
    request.once('data', () => begun.resolve());
  });
  const socket = connect(Number(new URL(origin).port), '127.0.0.1');
  let text = '';
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const head = ['POST /v1/chat/completions HTTP/1.1', 'host: x', `authorization: Bearer ${world.token}`, 'content-length: 100'];
  socket.write(`${head.join('\r\n')}\r\n\r\n{"model"`);
  await begun.promise;
  const [call] = world.caller().active.inFlight;
  assert.ok(call !== undefined);
  return { world, socket, call, text: () => text };
}

function entries({ purse }: World): unknown[] {
  return (purse.entries as readonly CallBody[]).map(({ code, status }) => [code, status]);
}

test('a key that is killed while its client still sends ends that call: one answer, one entry, nothing in flight', async (t) => {
  const { world, socket, call, text } = await upload(t);
  const closed = once(socket, 'close');
  const { finished } = call;
  call.revoke(refuse('key_revoked', 'The key was deleted.'));
  await Promise.all([closed, finished]);
  assert.match(text(), /^HTTP\/1\.1 401 [\s\S]*key_revoked/);
  assert.deepEqual([entries(world), world.caller().active.inFlight.size], [[['key_revoked', 401]], 0]);
});

test('a client that leaves while it sends is one entry', async (t) => {
  const { world, socket, call } = await upload(t);
  const { finished } = call;
  socket.destroy();
  await finished;
  assert.deepEqual([entries(world), world.caller().active.inFlight.size], [[['client_disconnected', 499]], 0]);
});

const completion = JSON.stringify({
  model: 'm',
  choices: [{ message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
});

test('a request that is lost on a reused connection is sent again: the call costs the bound of the one and the usage of the other', async (t) => {
  let sockets = 0;
  const provider = createServer((socket) => {
    sockets += 1;
    const isFirst = sockets === 1;
    let answered = false;
    socket.on('error', () => {});
    socket.on('data', () => {
      if (isFirst && answered) socket.resetAndDestroy();
      else socket.write(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${completion.length}\r\n\r\n${completion}`);
      answered = true;
    });
  });
  provider.listen(0, '127.0.0.1');
  await once(provider, 'listening');
  t.after(() => provider.close());
  const { port } = provider.address() as AddressInfo;
  const world = createWorld(t, { pools: [poolDocument({ endpoint: `http://127.0.0.1:${port}` })] });
  const origin = await serve(t, (request, response) => void serveLine(world.context, request, response));
  const call = async (): Promise<void> => {
    const body = JSON.stringify({ model: 'm', max_tokens: 50, messages: [{ role: 'user', content: 'hello' }] });
    const headers = { authorization: `Bearer ${world.token}`, 'content-type': 'application/json' };
    const response = await fetch(`${origin}/v1/chat/completions`, { method: 'POST', headers, body });
    assert.deepEqual([response.status, (await response.text()).length], [200, completion.length]);
    // The provider's connection is idle.
    await setTimeout(20);
  };
  await call();
  await call();
  const [first, second] = world.purse.entries as readonly CallBody[];
  assert.ok(first !== undefined && second !== undefined);
  assert.deepEqual([first.costNanoUsd, first.estimated], ['20', false]);
  const [lost, answered] = second.attempts;
  assert.deepEqual([answered?.costNanoUsd, second.attempts.length, second.estimated], ['20', 2, true]);
  assert.ok(Number(lost?.costNanoUsd) > 100, 'the bound is more than its 50 tokens of output');
  assert.equal(Number(second.costNanoUsd), Number(lost?.costNanoUsd) + 20);
  assert.equal(
    second.paidFrom.reduce((sum, { costNanoUsd }) => sum + Number(costNanoUsd), 0),
    Number(second.costNanoUsd),
  );
  assert.deepEqual([world.purse.reservedNano(), 1_000_000 - world.purse.freeNano()], [0, 20 + Number(second.costNanoUsd)]);
});

test('a key that floods waits for the answer to each further call that is not served, in any API; others do not', async (t) => {
  const world = createWorld(t);
  const origin = await serve(t, (request, response) => void serveLine(world.context, request, response));
  const floods = { bot: bot, unknown: '' } as const;
  for (const key of Object.values(floods)) for (let n = 0; n < 240; n += 1) world.context.pace.delayMs(key);
  const ask = async (path: string, token: string): Promise<string> => {
    const response = await fetch(`${origin}${path}`, { method: 'POST', body: '{', headers: { authorization: `Bearer ${token}` } });
    return `${response.status} ${JSON.stringify(await response.json()).includes('error')}`;
  };
  const order: string[] = [];
  const paths = ['/v1/chat/completions', '/v1/messages', '/v1beta/models/m:generateContent', '/v1/responses'];
  const slowed = paths.map((path) => ask(path, world.token).then((answer) => order.push(answer)));
  const unknown = ask('/v1/chat/completions', mintToken()).then((answer) => order.push(answer));
  // Each refusal has its entry before it waits.
  while (world.purse.entries.length < paths.length) await setTimeout(2);
  assert.deepEqual([order, world.caller().active.inFlight.size], [[], paths.length]);
  await Promise.all([...slowed, unknown]);
  assert.deepEqual(order.toSorted(), ['400 true', '400 true', '400 true', '400 true', '401 true']);
});
