import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { keyName } from '../core/names.ts';
import { createBroker } from '../operator/broker.ts';
import { makeCertificates, quick, scripted, sidecar, silent, startReplica, until } from '../operator/sessions/world.fixture.ts';
import { readPolicy } from '../operator/standalone/read-policy.ts';
import { openSqliteStore } from '../operator/store/sqlite.ts';
import { connectOperator } from '../proxy/link/session.ts';
import { startProxy } from '../proxy/main.ts';
import { simulatedModels } from '../simulator/models.ts';
import { startSimulation } from '../simulator/provider.ts';
import { keyManifest, poolManifest } from './manifests.ts';

const minuteMs = 60_000;

// What the proxy's clock of staleness says is moved by hand; everything else is real: TLS, sessions, store, spool, proxy, bill.
test('while the operator is away calls are paid from grants, then refused; after the limit of staleness all are; and it all comes back by itself', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'keyforge-away-'));
  const provider = await startSimulation({ credentials: ['sk-sim'] });
  const models = simulatedModels.filter(({ family }) => family === 'openai');
  const pool = poolManifest({ name: 'openai', provider: 'OpenAI', endpoint: provider.url, keys: { main: '' }, models });
  await writeFile(join(dir, 'all.yaml'), `${pool}---\n${keyManifest('bot')}`);
  const store = openSqliteStore({ path: join(dir, 'keyforge.db'), clock: Date.now });
  const broker = createBroker({
    ...{ store, book: () => [], random: randomBytes, rootKey: randomBytes(32), instance: 'operator', logger: silent },
    poolProblems: 'withdraw',
    decides: () => true,
    onChange: () => {},
  });
  const { policy } = await readPolicy({ paths: [dir], secrets: { KEYFORGE_SECRET_OPENAI_MAIN: 'sk-sim' }, missing: 'problem' });
  assert.deepEqual(broker.adopt(policy), []);
  const certificates = await makeCertificates();
  const attestor = scripted(new Map([['token', sidecar('pod-1')]]));
  const start = (port?: number) => startReplica({ attestor, certificates, host: broker, ...(port !== undefined && { port }) });
  let replica = await start();
  const port = Number(new URL(replica.url).port);

  let aheadMs = 0;
  const monotonic = (): number => performance.now() + aheadMs;
  const session = connectOperator({
    ...{ url: replica.url, ca: certificates.ca, readToken: async () => 'token', logger: silent, random: Math.random, timings: quick },
    monotonic,
  });
  const proxy = await startProxy({
    ...{ control: session, instance: session.instance, dataDir: dir, bootId: 'boot', metricsListen: null, logger: silent },
    listen: { host: '127.0.0.1', port: 0 },
    isStale: () => monotonic() - session.lastContact() > 60 * minuteMs,
  });
  const token = broker.token(keyName('agents', 'bot')) ?? '';
  const model = models[0]?.name ?? '';
  const call = async (): Promise<string> => {
    const response = await fetch(`${proxy.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model, max_tokens: 50, messages: [{ role: 'user', content: 'hello' }] }),
    });
    const body = (await response.json()) as { readonly error?: { readonly code: string } };
    return `${response.status} ${body.error?.code ?? 'ok'}`;
  };

  try {
    assert.equal(await call(), '200 ok');
    await replica.crash();
    await until('the proxy noticed', () => session.state().kind === 'connecting');
    aheadMs = 30 * minuteMs;
    assert.equal(await call(), '200 ok');
    const outcomes: string[] = [];
    while (outcomes.at(-1) !== '503 grant_unavailable' && outcomes.length < 2_000) outcomes.push(await call());
    assert.deepEqual([...new Set(outcomes)], ['200 ok', '503 grant_unavailable']);
    aheadMs = 61 * minuteMs;
    assert.equal(await call(), '503 policy_stale');
    aheadMs = 0;
    replica = await start(port);
    await until('the proxy is back', () => session.state().kind === 'connected');
    assert.equal(await call(), '200 ok');
    await proxy.close();
    const [account] = (await broker.account(keyName('agents', 'bot'))).accounts;
    assert.deepEqual([account?.outstandingNanoUsd, account?.burnedNanoUsd], ['0', '0']);
    // Each call is rounded up to a whole nano-dollar.
    const { totalPico, calls } = provider.bill();
    const above = BigInt(account?.spentNanoUsd ?? 0) * 1000n - totalPico;
    assert.ok(above >= 0n && above < BigInt(calls) * 1000n, `${above} pico-dollars above the bill`);
  } finally {
    session.close();
    await replica.close();
    broker.close();
    store.close();
    await provider.close();
    await rm(dir, { recursive: true, force: true });
  }
});
