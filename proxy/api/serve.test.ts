import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { isRefusal } from '../../core/errors.ts';
import { keyName, poolName } from '../../core/names.ts';
import type { ChildSpec } from '../../core/protocol/children.ts';
import type { AccountView } from '../../core/protocol/money.ts';
import { matchRoute } from '../dialect/routes.ts';
import { bot, createWorld, openai, type Plan, poolDocument, price, type World } from '../line.fixture.ts';
import { serve } from '../upstream/testbed.ts';
import { serveApi } from './serve.ts';

type SendRequest = (
  method: string,
  path: string,
  body?: unknown,
) => Promise<{ status: number; value: Record<string, unknown>; requestId: string | null }>;

/** The routes of the API on the loopback. */
async function createApi(t: TestContext, plan: Plan = {}): Promise<{ world: World; send: SendRequest }> {
  const world = createWorld(t, plan);
  const origin = await serve(t, (request, response) => {
    const route = matchRoute(request.method ?? '', request.url ?? '', request.headers);
    if (isRefusal(route) || route.kind !== 'api') throw new Error('not a route of the API');
    serveApi(world.context, { request, response, requestId: 'req_1' }, route, world.caller()).catch(() => response.destroy());
  });
  const send: SendRequest = async (method, path, body) => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const response = await fetch(origin + path, { method, ...(body === undefined ? {} : { body: text }) });
    return {
      status: response.status,
      value: (await response.json()) as Record<string, unknown>,
      requestId: response.headers.get('x-keyforge-request-id'),
    };
  };
  return { world, send };
}

function code(value: Record<string, unknown>): unknown {
  return (value['error'] as Record<string, unknown>)['code'];
}

const child = { key: keyName('agents', 'bot-1'), keyHint: 'vk_…abcd', capNanoUsd: '500000000', spentNanoUsd: '0' };

test('models are those that this key may call, in the caller’s dialect, aliases first', async (t) => {
  const claude = poolName('platform', 'claude');
  const book = [
    { id: 'm', match: { equals: 'm' }, price: price() },
    { id: 'n', match: { equals: 'n' }, price: price() },
  ];
  const pools = [
    poolDocument({ book }),
    poolDocument({ pool: claude, provider: 'Anthropic', book: [{ id: 'c', match: { equals: 'c' }, price: price() }] }),
  ];
  const document = { pools: [openai, claude], models: { allow: [], deny: ['n'], aliases: { fast: 'm' } } };
  const { send } = await createApi(t, { pools, document });
  const { status, value, requestId } = await send('GET', '/v1/models');
  assert.deepEqual([status, requestId, value['object']], [200, 'req_1', 'list']);
  assert.deepEqual(
    (value['data'] as { id: string }[]).map(({ id }) => id),
    ['fast', 'm'],
  );
  const gemini = await send('GET', '/v1beta/models');
  assert.deepEqual(gemini.value, { models: [] });
});

test('every model of the list has data of its own, in each API’s shape', async (t) => {
  const kinds = ['OpenAI', 'Anthropic', 'Gemini'] as const;
  const limited = { ...price(), contextTokens: 128_000, maxOutputTokens: 16_384 };
  const named = kinds.map((provider) => ({ provider, pool: poolName('platform', provider.toLowerCase()) }));
  const pools = named.map(({ provider, pool }) => {
    const id = `${provider.toLowerCase()}/m`;
    return poolDocument({ pool, provider, book: [{ id, match: { startsWith: id }, price: limited }] });
  });
  const document = { pools: named.map(({ pool }) => pool), models: { allow: [], deny: ['*-secret'], aliases: { fast: 'openai/m' } } };
  const { send } = await createApi(t, { pools, document });
  const openAi = (await send('GET', '/v1/models')).value['data'] as { id: string }[];
  const gemini = (await send('GET', '/v1beta/models')).value['models'] as { name: string }[];
  assert.deepEqual(
    openAi.map(({ id }) => id),
    ['fast', 'openai/m'],
  );
  for (const entry of openAi) {
    for (const path of [entry.id, encodeURIComponent(entry.id)])
      assert.deepEqual((await send('GET', `/v1/models/${path}`)).value, entry, path);
  }
  assert.deepEqual(gemini, [
    {
      ...{ name: 'models/gemini/m', displayName: 'gemini/m', inputTokenLimit: 128_000, outputTokenLimit: 16_384 },
      supportedGenerationMethods: ['generateContent', 'streamGenerateContent', 'countTokens', 'embedContent'],
    },
  ]);
  assert.deepEqual((await send('GET', '/v1beta/models/gemini/m')).value, gemini[0]);
  const dated = await send('GET', '/v1/models/openai/m-2026-01-01');
  assert.deepEqual([dated.status, dated.value['id']], [200, 'openai/m-2026-01-01']);
  for (const path of ['/v1/models/openai/m-secret', '/v1/models/missing', '/v1/models/anthropic/m']) {
    const { status, value } = await send('GET', path);
    assert.deepEqual([status, code(value)], [404, 'model_not_found'], path);
  }
  const missing = (await send('GET', '/v1beta/models/missing')).value['error'] as Record<string, unknown>;
  assert.deepEqual([missing['code'], missing['status']], [404, 'NOT_FOUND']);
});

test('a key reads its policy, and what is spent, held and left of each limit', async (t) => {
  const account = {
    ...{ key: bot, window: 'Day', windowStart: '2026-11-20T00:00:00Z', windowEnd: '2026-11-21T00:00:00Z', capNanoUsd: '5000000000' },
    ...{ spentNanoUsd: '1500000000', outstandingNanoUsd: '200000000', burnedNanoUsd: '500000000', requestsUsed: 7, requestsCap: 100 },
  };
  const team = {
    ...account,
    key: keyName('platform', 'team-ml'),
    capNanoUsd: '9000000000',
    spentNanoUsd: '7000000000',
    burnedNanoUsd: '0',
  };
  const view: AccountView = { key: bot, accounts: [account, team] };
  const document = { perRequest: { usdNano: 500_000_000, outputTokens: 64 }, expiresAtMs: Date.UTC(2026, 11, 1) };
  const { send } = await createApi(t, { document, control: { account: () => Promise.resolve(view) } });
  const { value } = await send('GET', '/keyforge/v1/self');
  const { limits, ...rest } = value;
  assert.equal(Object.keys(value).join(), 'key,owner,labels,expiresAt,remainingUsd,limits,perRequest,models');
  assert.deepEqual(rest, {
    key: bot,
    owner: { team: 'ml' },
    labels: { project: 'atlas' },
    expiresAt: '2026-12-01T00:00:00.000Z',
    remainingUsd: '2.00',
    perRequest: { usd: '0.50', outputTokens: 64 },
    models: { allow: [], deny: [], aliases: {} },
  });
  assert.deepEqual((limits as unknown[])[0], {
    ...{ key: bot, window: 'Day', windowEndsAt: '2026-11-21T00:00:00Z', capUsd: '5.00', spentUsd: '1.50', heldUsd: '0.20' },
    ...{ requestsUsed: 7, requestsCap: 100 },
  });
});

test('a key without a dollar limit reads no remainder', async (t) => {
  const { send } = await createApi(t, { control: { account: () => Promise.resolve({ key: bot, accounts: [] }) } });
  const { value } = await send('GET', '/keyforge/v1/self');
  assert.deepEqual([value['remainingUsd'], value['limits'], value['perRequest']], [undefined, [], {}]);
});

test('the answer has the minted key’s token, and the request reaches the operator unchanged', async (t) => {
  const specs: ChildSpec[] = [];
  const { send } = await createApi(t, {
    control: {
      mint(parent, spec) {
        assert.equal(parent, bot);
        specs.push(spec);
        return Promise.resolve({ token: 'vk_new', child });
      },
    },
  });
  const spec = { name: 'bot-1', usd: '0.50', ttl: '1h', models: ['m'], outputTokens: 64, delegation: { maxDepth: 1, maxChildren: 2 } };
  const { status, value } = await send('POST', '/keyforge/v1/keys', spec);
  assert.equal(status, 201);
  assert.deepEqual(value, { key: 'vk_new', name: 'agents/bot-1', keyHint: 'vk_…abcd', capUsd: '0.50', spentUsd: '0.00' });
  assert.deepEqual(specs, [
    {
      ...{ name: 'bot-1', usdNano: 500_000_000, ttlMs: 3_600_000, models: ['m'], outputTokens: 64 },
      delegation: { maxDepth: 1, maxChildren: 2 },
    },
  ]);
});

test('a sub-agent key that is not valid is refused with every problem and its path', async (t) => {
  const { send, world } = await createApi(t);
  const { status, value } = await send('POST', '/keyforge/v1/keys', { usd: 5, ttl: 'soon', colour: 'red' });
  assert.deepEqual([status, code(value)], [400, 'invalid_request']);
  const { message } = value['error'] as { message: string };
  for (const path of ['usd', 'ttl', 'colour']) assert.match(message, new RegExp(path));
  assert.equal((await send('POST', '/keyforge/v1/keys', 'not json')).status, 400);
  assert.match(await world.metrics(), /keyforge_requests_total\{key="",endpoint="",code="invalid_request"\} 2/);
});

test('the operator’s denial of a sub-agent key is a refusal', async (t) => {
  const denial = { code: 'request_too_expensive', message: 'Only $0.10 is left.' } as const;
  const { send } = await createApi(t, { control: { mint: () => Promise.resolve({ denial }) } });
  const { status, value } = await send('POST', '/keyforge/v1/keys', { usd: '0.50' });
  assert.deepEqual([status, code(value)], [403, 'request_too_expensive']);
});

test('sub-agent keys are listed without their tokens, and end by their short or full name', async (t) => {
  const ended: string[] = [];
  const { send } = await createApi(t, {
    control: {
      children: () => Promise.resolve([{ ...child, expiresAt: '2026-12-01T00:00:00.000Z' }]),
      unmint: (_, name) => Promise.resolve(name === child.key && ended.push(name) > 0),
    },
  });
  assert.deepEqual((await send('GET', '/keyforge/v1/keys')).value, {
    keys: [{ name: 'agents/bot-1', keyHint: 'vk_…abcd', expiresAt: '2026-12-01T00:00:00.000Z', capUsd: '0.50', spentUsd: '0.00' }],
  });
  assert.deepEqual((await send('DELETE', '/keyforge/v1/keys/bot-1')).value, { deleted: 'agents/bot-1' });
  assert.deepEqual((await send('DELETE', '/keyforge/v1/keys/agents%2Fbot-1')).value, { deleted: 'agents/bot-1' });
  assert.deepEqual(ended, ['agents/bot-1', 'agents/bot-1']);
  const { status, value } = await send('DELETE', '/keyforge/v1/keys/stranger');
  assert.deepEqual([status, code(value)], [404, 'not_found']);
});

test('a key that may not be used reads nothing', async (t) => {
  const { send } = await createApi(t, { document: { suspendedBy: bot } });
  for (const path of ['/v1/models', '/keyforge/v1/self', '/keyforge/v1/keys']) {
    const { status, value } = await send('GET', path);
    assert.deepEqual([status, code(value)], [401, 'key_revoked']);
  }
});

test('while the operator is unreachable, its answers say to retry, and models are still listed', async (t) => {
  const { send } = await createApi(t);
  for (const path of ['/keyforge/v1/self', '/keyforge/v1/keys']) {
    const { status, value } = await send('GET', path);
    assert.deepEqual([status, code(value)], [503, 'grant_unavailable']);
  }
  assert.equal((await send('GET', '/v1/models')).status, 200);
});
