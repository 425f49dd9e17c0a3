import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { simulatedModels } from '../simulator/models.ts';
import { eventually, startWorld, type World } from './harness.ts';
import { keyManifest, poolManifest } from './manifests.ts';

const model = 'gpt-5.4-mini';
const completion = JSON.stringify({
  model,
  choices: [{ message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
});

interface Bed {
  readonly world: World;
  /** Calls that the provider keeps open. */
  readonly kept: ServerResponse[];
  /** Has a call that the provider keeps open; resolves once the provider has it. */
  keep(key: string): Promise<{ readonly answer: Promise<number>; leave(): void }>;
  ask(token: string, text?: string): Promise<Response>;
}

/** A provider that keeps a call whose text is `keep`, answers 500 to `fail`, and serves all others. */
async function start(t: TestContext, keys: Readonly<Record<string, string>>): Promise<Bed> {
  const kept: ServerResponse[] = [];
  let isOver = false;
  const server = createServer((request, response) => {
    // A call that is lost on a reused connection would be sent again.
    response.shouldKeepAlive = false;
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      if (isOver) response.destroy();
      else if (body.includes('keep')) kept.push(response);
      else response.writeHead(body.includes('fail') ? 500 : 200, { 'content-type': 'application/json' }).end(completion);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const models = simulatedModels.filter(({ family }) => family === 'openai');
  const pools = (['OpenAI', 'Anthropic', 'Gemini'] as const).map((provider) =>
    poolManifest({ name: provider.toLowerCase(), provider, endpoint, ...(provider === 'OpenAI' ? { models } : {}) }),
  );
  const world = await startWorld({ keys, pools: () => pools.join('---\n') });
  t.after(async () => {
    isOver = true;
    for (const response of kept) response.destroy();
    await world.close();
    server.closeAllConnections();
    server.close();
  });
  const post = (token: string, text: string, signal?: AbortSignal): Promise<Response> =>
    fetch(`${world.proxyUrl}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model, max_tokens: 16, messages: [{ role: 'user', content: text }] }),
      ...(signal === undefined ? {} : { signal }),
    });
  return {
    world,
    kept,
    async keep(key) {
      const before = kept.length;
      const leaving = new AbortController();
      const answer = post(world.tokenOf(key), 'keep', leaving.signal).then(
        ({ status }) => status,
        () => 499,
      );
      await eventually(() => (kept.length > before ? true : undefined), `a call of ${key} at the provider`);
      return { answer, leave: () => leaving.abort() };
    },
    ask: (token, text = 'hello') => post(token, text),
  };
}

async function refusalOf(response: Response): Promise<unknown[]> {
  const { error } = (await response.json()) as { readonly error: { readonly code: string; readonly message: string } };
  const [, node] = /rate\.concurrentCalls of (\S+) allows/.exec(error.message) ?? [];
  return [response.status, response.headers.get('retry-after'), error.code, node];
}

const tree = {
  'team.yaml': keyManifest('team', { rate: { concurrentCalls: 3 }, delegation: { maxDepth: 1, maxChildren: 9 } }),
  'bot.yaml': keyManifest('bot', { parentRef: { name: 'team', namespace: 'agents' }, rate: { concurrentCalls: 2 } }),
  'mate.yaml': keyManifest('mate', { parentRef: { name: 'team', namespace: 'agents' } }),
  'stranger.yaml': keyManifest('stranger'),
};

test('a key, and all keys below a node, have no more calls in flight than the node allows; others are served', async (t) => {
  const { world, kept, keep, ask } = await start(t, tree);
  await keep('bot');
  await keep('bot');
  assert.deepEqual(await refusalOf(await ask(world.tokenOf('bot'))), [429, '1', 'rate_limited', 'agents/bot']);
  const minted = await world.post('/keyforge/v1/keys', { name: 'sub', usd: '0.10' }, { token: world.tokenOf('team') });
  const { key: subAgent } = (await minted.json()) as { readonly key: string };
  assert.equal((await ask(subAgent)).status, 200);
  await keep('mate');
  for (const token of [world.tokenOf('mate'), world.tokenOf('team'), subAgent])
    assert.deepEqual(await refusalOf(await ask(token)), [429, '1', 'rate_limited', 'agents/team']);
  assert.equal((await ask(world.tokenOf('stranger'))).status, 200);
  assert.equal(kept.length, 3, 'what is refused is not sent');

  const refused = (await world.records(6)).filter(({ code }) => code === 'rate_limited');
  assert.deepEqual(
    new Set(refused.map(({ limitedBy, costNanoUsd }) => `${limitedBy} ${costNanoUsd}`)),
    new Set(['agents/bot concurrentCalls 0', 'agents/team concurrentCalls 0']),
  );
});

test('an answer, an error and a client that leaves each give the place to the next call', async (t) => {
  const { world, kept, keep, ask } = await start(t, { 'one.yaml': keyManifest('one', { rate: { concurrentCalls: 1 } }) });
  const token = world.tokenOf('one');
  const served = async (): Promise<void> => {
    await eventually(async () => ((await ask(token)).status === 200 ? true : undefined), 'a free place');
  };
  for (let n = 0; n < 3; n += 1) assert.deepEqual([(await ask(token, 'fail')).status, (await ask(token)).status], [500, 200]);

  const answered = await keep('one');
  kept[0]?.writeHead(200, { 'content-type': 'application/json' }).end(completion);
  assert.equal(await answered.answer, 200);
  await served();

  const broken = await keep('one');
  assert.equal((await ask(token)).status, 429);
  kept[1]?.destroy();
  assert.equal(await broken.answer, 502);
  await served();

  const left = await keep('one');
  assert.equal((await ask(token)).status, 429);
  left.leave();
  assert.equal(await left.answer, 499);
  await served();
  assert.equal(kept[2]?.destroyed, false, 'its answer is still read on');
});

test('the key sees its limit, and a changed one holds for the next call', async (t) => {
  const { world, keep, ask } = await start(t, { 'one.yaml': keyManifest('one', { rate: { concurrentCalls: 1 } }) });
  const token = world.tokenOf('one');
  const self = async (): Promise<unknown> => {
    const response = await fetch(`${world.proxyUrl}/keyforge/v1/self`, { headers: { authorization: `Bearer ${token}` } });
    return ((await response.json()) as { readonly concurrentCalls?: unknown }).concurrentCalls;
  };
  assert.deepEqual(await self(), [{ key: 'agents/one', calls: 1 }]);
  await keep('one');
  assert.equal((await ask(token)).status, 429);
  await world.edit('one.yaml', keyManifest('one', { rate: { concurrentCalls: 2 } }));
  await eventually(async () => ((await ask(token)).status === 200 ? true : undefined), 'the new limit');
  assert.deepEqual(await self(), [{ key: 'agents/one', calls: 2 }]);
  await keep('one');
  assert.equal((await ask(token)).status, 429);
});

const swarmKeys = {
  'swarm.yaml': keyManifest('swarm', { delegation: { maxDepth: 2, maxChildren: 8 } }),
  'calm.yaml': keyManifest('calm'),
};

/** The tokens of the swarm: its key, four sub-agents, and four below the first of them. */
async function swarmOf(world: World): Promise<readonly string[]> {
  const mint = async (name: string, token: string): Promise<string> => {
    const minted = await world.post('/keyforge/v1/keys', { name }, { token });
    assert.equal(minted.status, 201, await minted.clone().text());
    return ((await minted.json()) as { readonly key: string }).key;
  };
  const tokens = [world.tokenOf('swarm')];
  for (const name of ['a', 'b', 'c', 'd']) tokens.push(await mint(name, tokens[0] ?? ''));
  for (const name of ['e', 'f', 'g', 'h']) tokens.push(await mint(name, tokens[1] ?? ''));
  return tokens;
}

test('sub-agent keys get their key no larger share of the calls that are read on after their clients left', async (t) => {
  const { world, kept } = await start(t, swarmKeys);
  const leaving = new AbortController();
  const leave = async (token: string): Promise<void> => {
    const body = JSON.stringify({ model, max_tokens: 16, messages: [{ role: 'user', content: 'keep' }] });
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const call = fetch(`${world.proxyUrl}/v1/chat/completions`, { method: 'POST', headers, body, signal: leaving.signal });
    await assert.rejects(call, { name: 'AbortError' });
  };
  const calls = (await swarmOf(world)).flatMap((token) => Array.from({ length: 9 }, () => leave(token)));
  await eventually(() => (kept.length === calls.length ? true : undefined), 'all calls at the provider');
  leaving.abort();
  await Promise.all(calls);
  // Two thirds of 64 are read on.
  const open = (): number => kept.filter((response) => !response.destroyed).length;
  await eventually(() => (open() <= 43 ? true : undefined), 'the end of the others');
  assert.equal(open(), 43);
});

test('sub-agent keys get their key no larger share of the connections: a stranger is served at once', async (t) => {
  const { world, kept, ask } = await start(t, swarmKeys);
  const tokens = await swarmOf(world);
  const share = 256;
  const flood = Array.from({ length: 400 }, (_, n) => ask(tokens[n % tokens.length] ?? '', 'keep'));
  void Promise.allSettled(flood);
  await eventually(() => (kept.length >= share ? true : undefined), 'the flood at the provider');
  for (let n = 0; n < 10; n += 1) assert.equal((await ask(world.tokenOf('calm'))).status, 200);
  assert.equal(kept.length, share);
});

test('a key that floods the provider holds two thirds of the connections, and waits for more; another key is served at once', async (t) => {
  const { world, kept, ask } = await start(t, { 'flood.yaml': keyManifest('flood'), 'calm.yaml': keyManifest('calm') });
  const calls = 300;
  const share = 256;
  const flood = Array.from({ length: calls }, () => ask(world.tokenOf('flood'), 'keep').then(({ status }) => status));
  const gauge = async (name: string): Promise<number> => {
    const text = await (await fetch(`${world.standalone.metricsUrl}/metrics`)).text();
    return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1]);
  };
  await eventually(
    async () => ((await gauge('keyforge_provider_calls_waiting')) === calls - share ? true : undefined),
    'all calls of the flood',
  );
  await eventually(() => (kept.length === share ? true : undefined), 'the share of the flood at the provider');
  for (let n = 0; n < 10; n += 1) assert.equal((await ask(world.tokenOf('calm'))).status, 200);
  assert.deepEqual([kept.length, await gauge('keyforge_provider_calls')], [share, share]);

  // What ends gives its place to one that waits.
  const answered = (async () => {
    for (let n = 0; n < calls; n += 1) {
      const response = await eventually(() => kept[n], `call ${n} at the provider`);
      response.writeHead(200, { 'content-type': 'application/json' }).end(completion);
    }
  })();
  assert.deepEqual(new Set(await Promise.all(flood)), new Set([200]));
  await answered;
  await eventually(async () => ((await gauge('keyforge_provider_calls')) === 0 ? true : undefined), 'all places free');
});
