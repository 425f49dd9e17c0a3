import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyName } from '../../core/names.ts';
import { type Api, codeOf, estimatedCall, token, withApi } from './api.fixture.ts';
import type { CreditReply } from './credit.ts';

const bot = keyName('agents', 'bot');
const path = '/v1/keys/agents/bot/credit';
const json = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };

async function credit({ call }: Api, order: object): Promise<{ readonly status: number; readonly body: CreditReply }> {
  return (await call('POST', path, json, JSON.stringify(order))) as { readonly status: number; readonly body: CreditReply };
}

function messageOf(body: unknown): string {
  return (body as { readonly error: { readonly message: string } }).error.message;
}

test(
  'a dry run lists what was charged without a measurement, and gives nothing back',
  withApi(async (api) => {
    const grant = await estimatedCall(api.bench, 'r-1', 3e8);
    const { status, body } = await credit(api, { dryRun: true });
    const time = body.calls[0]?.time;
    const listed = { kind: 'estimated', time, requestId: 'r-1', model: 'gpt-5.4-mini', grants: [grant] };
    const calls = [{ ...listed, windows: [{ window: 'Total' }], chargedUsd: '0.30', creditedUsd: '0.00' }];
    assert.deepEqual([status, body], [200, { key: bot, calls, creditedUsd: '0.00', leftUsd: '0.30' }]);
    assert.ok(!api.bench.events().some((event) => event.startsWith('credited')));
  }),
);

test(
  'a credit is recorded with its actor, reason, calls and amounts, and its money can be granted at once',
  withApi(async (api) => {
    const grant = await estimatedCall(api.bench, 'r-1', 9e8);
    const { status, body } = await credit(api, { usd: '0.50', reason: 'the provider billed less' });
    assert.equal(status, 200);
    assert.deepEqual([body.creditedUsd, body.leftUsd, body.calls[0]?.creditedUsd], ['0.50', '0.40', '0.50']);
    await estimatedCall(api.bench, 'r-2', 6e8);
    const record = api.bench.store
      .transaction((tx) => tx.streams.credits())
      .map(({ body: bytes }) => JSON.parse(bytes.toString()) as object);
    const event = { v: 1, type: 'credited', object: 'VirtualKey agents/bot', actor: 'admin' };
    const { time, ...rest } = record[0] as { readonly time: string };
    assert.ok(Date.parse(time) > 0);
    assert.deepEqual(rest, {
      ...event,
      detail: { nanoUsd: '500000000', reason: 'the provider billed less' },
      credit: { key: bot, parts: [{ grant, nanoUsd: '500000000', requestId: 'r-1' }] },
    });
  }),
);

test(
  'a key that has ended can be credited as long as it has charges',
  withApi(async (api) => {
    await estimatedCall(api.bench, 'r-1', 3e8);
    api.bench.declare({});
    assert.equal((await credit(api, { reason: 'not billed' })).body.creditedUsd, '0.30');
  }),
);

test(
  'a credit that is not understood, or beyond what can be given back, is refused with what to change',
  withApi(async (api) => {
    await estimatedCall(api.bench, 'r-1', 3e8);
    const reason = 'not billed';
    for (const [order, status, code, message] of [
      [{}, 400, 'invalid_request', /^reason is missing/],
      [{ reason: ' ' }, 400, 'invalid_request', /^reason is missing/],
      [{ reason: 'two\nlines' }, 400, 'invalid_request', /on one line/],
      [{ reason: 'x'.repeat(501) }, 400, 'invalid_request', /500 characters/],
      [{ reason: '\ud800' }, 400, 'invalid_request', /reason/],
      [{ reason, usd: 0.5 }, 400, 'invalid_request', /^usd must be an amount above 0/],
      [{ reason, usd: '0' }, 400, 'invalid_request', /^usd must be/],
      [{ reason, usd: '-1' }, 400, 'invalid_request', /^usd must be/],
      [{ reason, dryRun: 'yes' }, 400, 'invalid_request', /^dryRun must be/],
      [{ reason, amount: '1' }, 400, 'invalid_request', /^amount is not a member/],
      [[], 400, 'invalid_request', /JSON object/],
      [{ reason, usd: '0.31' }, 409, 'conflict', /^\$0\.30 can be credited to agents\/bot now, not \$0\.31$/],
      [{ dryRun: true, usd: '0.31' }, 409, 'conflict', /^\$0\.30 can be/],
    ] as const) {
      const reply = await credit(api, order);
      assert.deepEqual([reply.status, codeOf(reply.body)], [status, code], JSON.stringify(order));
      assert.match(messageOf(reply.body), message);
    }
    const torn = await api.call('POST', path, json, '{"reason"');
    assert.deepEqual([torn.status, messageOf(torn.body)], [400, 'the path or the body cannot be read']);
    const large = await api.call('POST', path, json, JSON.stringify({ reason: 'x'.repeat(20_000) }));
    assert.deepEqual([large.status, codeOf(large.body)], [413, 'invalid_request']);
    const nobody = await api.call('POST', '/v1/keys/agents/nobody/credit', json, '{"reason":"x"}');
    assert.deepEqual([nobody.status, codeOf(nobody.body)], [404, 'not_found']);
    assert.equal((await credit(api, { reason })).body.creditedUsd, '0.30');
    const again = await credit(api, { reason });
    assert.deepEqual([again.status, codeOf(again.body)], [409, 'conflict']);
    assert.match(messageOf(again.body), /^nothing can be credited to agents\/bot now/);
  }),
);
