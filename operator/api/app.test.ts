import assert from 'node:assert/strict';
import { request } from 'node:http';
import { test } from 'node:test';
import { codeOf, token, withApi } from './api.fixture.ts';

test(
  'every route but /healthz needs the admin token',
  withApi(async ({ call, bench }) => {
    for (const headers of [{}, { authorization: 'Bearer wrong' }, { authorization: token }, { authorization: `Basic ${token}` }]) {
      for (const [method, path] of [
        ['GET', '/v1/keys'],
        ['POST', '/v1/keys/agents/bot/revoke'],
        ['GET', '/anything'],
      ] as const) {
        const { status, body } = await call(method, path, headers as Record<string, string>);
        assert.deepEqual([status, codeOf(body)], [401, 'unauthorized']);
      }
    }
    assert.equal(bench.tokenIds('agents/bot').length, 1);
    assert.deepEqual(await call('GET', '/healthz', {}), { status: 200, body: { ok: true } });
  }),
);

test(
  'a Host that is not loopback is refused even with the token: a rebound name reaches nothing',
  withApi(async ({ url }) => {
    const statusFor = (host: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        request(`${url}/v1/keys`, { headers: { host, authorization: `Bearer ${token}` } }, (response) => {
          response.resume();
          resolve(response.statusCode);
        })
          .on('error', reject)
          .end();
      });
    for (const host of ['evil.example', 'evil.example:8788', '127.0.0.1.evil.example', 'localhost.evil.example', '10.0.0.1']) {
      assert.equal(await statusFor(host), 403, host);
    }
    for (const host of ['localhost:8788', '127.0.0.1', '[::1]:8788']) assert.equal(await statusFor(host), 200, host);
  }),
);

test(
  'keys are listed with state, money and hint, and never a token',
  withApi(async ({ call, bench }) => {
    const { body } = await call('GET', '/v1/keys');
    const { keys } = body as { readonly keys: readonly Record<string, unknown>[] };
    const [bot, team] = keys;
    assert.deepEqual([bot?.['name'], bot?.['state'], bot?.['spentUsd'], bot?.['remainingUsd']], ['bot', 'active', '0.00', '1.00']);
    assert.deepEqual([team?.['name'], team?.['state'], team?.['hint']], ['team', 'budget', undefined]);
    assert.match(String(bot?.['hint']), /^vk_….{4}$/);
    assert.ok(!JSON.stringify(body).includes(bench.files.read('agents/bot' as never) ?? 'missing'));
  }),
);

test(
  'revoke kills a key, rotate brings it back',
  withApi(async ({ call, bench }) => {
    assert.deepEqual(await call('POST', '/v1/keys/agents/bot/revoke'), { status: 200, body: { key: 'agents/bot', state: 'revoked' } });
    assert.deepEqual(bench.tokenIds('agents/bot'), []);
    const { status, body } = await call('POST', '/v1/keys/agents/bot/rotate');
    assert.equal(status, 200);
    assert.match((body as { readonly hint: string }).hint, /^vk_…/);
    assert.equal(bench.tokenIds('agents/bot').length, 1);
    assert.deepEqual(bench.events().slice(-2), ['key_revoked VirtualKey agents/bot', 'key_rotated VirtualKey agents/bot']);
  }),
);

test(
  'an overlap is a duration, for which the old token works',
  withApi(async ({ call, bench }) => {
    for (const overlap of ['soon', '-1h', '5']) {
      const { status, body } = await call('POST', `/v1/keys/agents/bot/rotate?overlap=${overlap}`);
      assert.deepEqual([status, codeOf(body)], [400, 'invalid_request']);
    }
    const { body } = await call('POST', '/v1/keys/agents/bot/rotate?overlap=24h');
    assert.ok((body as { readonly previousValidUntil?: string }).previousValidUntil);
    assert.equal(bench.tokenIds('agents/bot').length, 2);
  }),
);

test(
  'what does not exist or cannot be done is refused with a code',
  withApi(async ({ call }) => {
    for (const [method, path, status, code] of [
      ['POST', '/v1/keys/agents/nobody/revoke', 404, 'not_found'],
      ['POST', '/v1/keys/agents/bot/credit', 400, 'invalid_request'],
      ['POST', '/v1/keys/agents/nobody/rotate', 404, 'not_found'],
      ['GET', '/v1/keys/agents/nobody/account', 404, 'not_found'],
      ['POST', '/v1/keys/agents/team/rotate', 409, 'conflict'],
      ['GET', '/v1/keys/agents/bot/revoke', 404, 'not_found'],
      ['GET', '/v1/keys/%E0%A4%A/x/account', 400, 'invalid_request'],
    ] as const) {
      const reply = await call(method, path);
      assert.deepEqual([reply.status, codeOf(reply.body)], [status, code], path);
    }
    assert.equal(((await call('GET', '/v1/keys/agents/bot/account')).body as { readonly key: string }).key, 'agents/bot');
  }),
);

test(
  'prices that wait are listed in dollars per million tokens until an administrator acknowledges them',
  withApi(async ({ call }) => {
    const prices = [{ class: 'input', reason: 'fell', from: '3', to: '1', inForce: '3' }];
    assert.deepEqual(await call('GET', '/v1/prices'), {
      status: 200,
      body: { waiting: [{ provider: 'OpenAI', model: 'gpt-5.4', prices }] },
    });
    for (const path of [
      'Nobody/acknowledge',
      'Gemini/acknowledge',
      'OpenAI/acknowledge?model=o3',
      'OpenAI/acknowledge?model=o3&model=o4',
    ]) {
      const { status, body } = await call('POST', `/v1/prices/${path}`);
      assert.deepEqual([status, codeOf(body)], [404, 'not_found'], path);
    }
    const accepted = await call('POST', '/v1/prices/OpenAI/acknowledge?model=gpt-5.4');
    assert.deepEqual(accepted, { status: 200, body: { provider: 'OpenAI', models: ['gpt-5.4'] } });
    assert.deepEqual(await call('GET', '/v1/prices'), { status: 200, body: { waiting: [] } });
  }),
);

test(
  'what bills have taught is listed until an administrator clears it with a reason',
  withApi(async ({ call }) => {
    const listed = await call('GET', '/v1/pools');
    assert.equal((listed.body as { readonly learned: readonly unknown[] }).learned.length, 2);
    const path = '/v1/pools/keyforge-system/openai/acknowledge';
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const post = (body: object, to = path): ReturnType<typeof call> => call('POST', to, headers, JSON.stringify(body));
    for (const body of [{}, { reason: ' ' }, { reason: 'x', model: 5 }, { reason: 'x', colour: 'red' }]) {
      assert.deepEqual([(await post(body)).status, codeOf((await post(body)).body)], [400, 'invalid_request'], JSON.stringify(body));
    }
    assert.equal((await post({ reason: 'x', feature: 'smell' })).status, 404);
    assert.equal((await post({ reason: 'x' }, '/v1/pools/keyforge-system/other/acknowledge')).status, 404);
    const cleared = await post({ reason: 'the provider corrected its bill', feature: 'audio' });
    assert.deepEqual((cleared.body as { readonly cleared: readonly { readonly feature: string }[] }).cleared[0]?.feature, 'audio');
    assert.equal(((await call('GET', '/v1/pools')).body as { readonly learned: readonly unknown[] }).learned.length, 1);
  }),
);
