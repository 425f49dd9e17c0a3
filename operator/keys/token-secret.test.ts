import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptySpec } from '../../core/manifest/types.ts';
import { keyName, poolName } from '../../core/names.ts';
import { secretObject } from '../reconcile/bench.fixture.ts';
import { holds, tokenSecret } from './token-secret.ts';

const wanted = secretObject('agents', 'bot', { 'api-key': 'one', 'policy.json': '{}' });

test('a Secret holds what it should whatever items others add to it', () => {
  assert.equal(holds(secretObject('agents', 'bot', { 'api-key': 'one', 'policy.json': '{}', theirs: 'x' }), wanted), true);
});

test('a Secret without an item of ours, or with another value in it, does not', () => {
  assert.equal(holds(secretObject('agents', 'bot', { 'api-key': 'one' }), wanted), false);
  assert.equal(holds(secretObject('agents', 'bot', { 'api-key': 'two', 'policy.json': '{}' }), wanted), false);
  assert.equal(holds({ metadata: { name: 'bot' } }, wanted), false);
  assert.equal(holds(null, wanted), false);
});

test('policy.json is byte for byte what earlier releases wrote, so that an upgrade rewrites no Secret', () => {
  const [team, bot] = [keyName('platform', 'team'), keyName('agents', 'bot')];
  const secret = tokenSecret({
    owner: { metadata: { name: 'bot', namespace: 'agents', uid: 'u1' } },
    name: 'bot',
    token: 'vk_one',
    origin: 'http://gateway:8787',
    document: {
      key: bot,
      path: [team],
      owner: { team: 'ml' },
      labels: {},
      pools: [poolName('platform', 'openai')],
      models: { allow: [['m-*']], deny: [], aliases: { fast: 'm-1' } },
      endpoints: ['/v1/messages'],
      perRequest: { usdNano: 500_000_000, outputTokens: 64 },
      smallestCapNano: 5,
      counted: true,
      concurrentCalls: [{ key: bot, calls: 4 }],
      expiresAtMs: Date.UTC(2026, 11, 1),
      suspendedBy: team,
      delegation: { maxDepth: 1, maxChildren: 2 },
      run: 'Pod web-0',
      digest: 'sha256:00',
    },
    path: [
      { key: team, spec: { ...emptySpec, limits: [{ window: 'Month', usdNano: 5_000_000_000, requests: 9, timeZone: 'Etc/UTC' }] } },
      { key: bot, spec: { ...emptySpec, rate: { requestsPerMinute: 60, concurrentCalls: 4 } } },
    ],
  });
  const { 'policy.json': packed = '' } = secret['data'] as Readonly<Record<string, string>>;
  const text = Buffer.from(packed, 'base64').toString();
  assert.equal(
    text.replaceAll(/\n */g, ''),
    [
      '{"key": "agents/bot","path": ["platform/team"],"digest": "sha256:00","owner": {"team": "ml"},"labels": {},',
      '"pools": ["platform/openai"],"models": {"allow": [["m-*"]],"deny": [],"aliases": {"fast": "m-1"}},"endpoints": ["/v1/messages"],',
      '"limits": [{"key": "platform/team","window": "Month","requests": 9,"timeZone": "Etc/UTC","usd": "5.00"}],',
      '"rates": [{"key": "agents/bot","requestsPerMinute": 60,"concurrentCalls": 4}],"perRequest": {"usd": "0.50","outputTokens": 64},',
      '"expiresAt": "2026-12-01T00:00:00.000Z","suspendedBy": "platform/team","delegation": {"maxDepth": 1,"maxChildren": 2}}',
    ].join(''),
  );
  assert.equal(text, `${JSON.stringify(JSON.parse(text), null, 2)}\n`);
});
