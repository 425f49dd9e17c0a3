import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { openBench } from '../broker.fixture.ts';
import { fakeSecrets } from '../trust/secrets.fixture.ts';
import { adminSecret, startClusterAdmin } from './admin.ts';

const logger = pino({ level: 'silent' });
const namespace = 'keyforge-system';
const prices = { waiting: () => [], acknowledge: () => [] };
const bounds = { learned: () => [], acknowledge: () => [] };
const listen = { host: '127.0.0.1', port: 0 };

test('replicas that start together share one token, and it lists, rotates and revokes', async () => {
  const secrets = fakeSecrets();
  const bench = openBench();
  bench.declare({ 'agents/bot': {} });
  const deps = { client: secrets.client, namespace, listen, desk: bench.broker.desk, prices, bounds, logger };
  const servers = await Promise.all([startClusterAdmin(deps), startClusterAdmin(deps)]);
  try {
    assert.equal(secrets.counts.writes, 1);
    assert.equal(secrets.stored?.metadata.name, adminSecret);
    const { token = '' } = (secrets.stored?.['data'] ?? {}) as { readonly token?: string };
    const authorization = `Bearer ${Buffer.from(token, 'base64')}`;
    for (const { url } of servers) {
      assert.equal((await fetch(`${url}/v1/keys`)).status, 401);
      const { keys } = (await (await fetch(`${url}/v1/keys`, { headers: { authorization } })).json()) as {
        readonly keys: readonly object[];
      };
      assert.equal(keys.length, 1);
    }
    const revoked = await fetch(`${servers[0]?.url}/v1/keys/agents/bot/revoke`, { method: 'POST', headers: { authorization } });
    assert.equal(revoked.status, 200);
    assert.deepEqual(bench.tokenIds('agents/bot'), []);
  } finally {
    for (const server of servers) await server.close();
    bench.close();
  }
});

test('a Secret of that name without a token is reported, not overwritten', async () => {
  const secrets = fakeSecrets();
  secrets.stored = { metadata: { name: adminSecret, namespace }, data: { token: 'c2hvcnQ=' } };
  const bench = openBench();
  const deps = { client: secrets.client, namespace, listen, desk: bench.broker.desk, prices, bounds, logger };
  await assert.rejects(startClusterAdmin(deps), /keyforge-admin has no item token/);
  assert.equal(secrets.counts.writes, 0);
  bench.close();
});
