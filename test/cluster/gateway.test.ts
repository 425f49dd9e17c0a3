import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { CallBody } from '../../core/audit/types.ts';
import { runKeyforge } from '../cli.ts';
import { canRunPods } from './cluster.ts';
import { keyPath, read, secretPath, until } from './operator-world.ts';
import { systemNamespace } from './release.ts';
import { agentsNamespace, startWorld, type World } from './world.ts';

const machine = await canRunPods();
const chart = join(import.meta.dirname, '..', '..', 'charts', 'keyforge');
/** The setup may wait for two installs of four minutes each; a hook does not get the time of its suite. */
const setup = { timeout: 900_000 };
const outputTokens = 64;
/** Of the calls below. */
const boundNano = 1_138_500n;

interface Outcome {
  readonly status: number;
  readonly code: string;
}

describe('the gateway', { skip: machine.ok ? false : machine.why, timeout: 900_000 }, () => {
  let world: World;
  /** The Service's address. */
  let gateway: string;
  /** Those of the two Pods behind it. */
  let replicas: readonly string[];

  before(async () => {
    world = await startWorld();
    // An upgrade in place: the operator ends, and its successor goes on with the volume.
    const switched = ['--reuse-values', '--set', 'gateway.enabled=true', '--wait', '--timeout', '240s'];
    await world.release.helm('upgrade', 'keyforge', chart, ...switched);
    const service = await read(world.cluster, `/api/v1/namespaces/${systemNamespace}/services/keyforge-gateway`);
    gateway = `http://${service.spec.clusterIP}`;
    const selector = 'labelSelector=app.kubernetes.io%2Fcomponent%3Dgateway';
    const { items } = await read(world.cluster, `/api/v1/namespaces/${systemNamespace}/pods?${selector}`);
    replicas = items.map(({ status }: { readonly status: { readonly podIP: string } }) => `http://${status.podIP}:8787`);
    assert.equal(replicas.length, 2);
    // A Service leads to its Pods about a second after they are ready.
    await until('the Service leads to them', async () => (await self(gateway, 'vk_nobody')) === 401);
  }, setup);
  after(() => world?.close());

  async function call(origin: string, token: string): Promise<Outcome> {
    const response = await fetch(`${origin}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'gpt-5.4-mini', max_tokens: outputTokens, messages: [{ role: 'user', content: 'count to ten' }] }),
    });
    const body = (await response.json()) as { readonly error?: { readonly code?: string } };
    return { status: response.status, code: body.error?.code ?? 'ok' };
  }

  /** The key's token once both replicas take it. */
  async function served(key: string, spec: Readonly<Record<string, unknown>>): Promise<string> {
    await world.key(key, { delivery: ['Gateway'], ...spec });
    const token = await world.token(key);
    await everywhere(token, true);
    return token;
  }

  /** Resolves once both replicas take the token, or neither. Looks only, calls nothing. */
  async function everywhere(token: string, taken: boolean): Promise<void> {
    for (const origin of replicas) {
      await until(`${origin} ${taken ? 'takes' : 'refuses'} the token`, async () => (await self(origin, token)) === (taken ? 200 : 401));
    }
  }

  async function self(origin: string, token: string): Promise<number> {
    const response = await fetch(`${origin}/keyforge/v1/self`, { headers: { authorization: `Bearer ${token}` } });
    await response.arrayBuffer();
    return response.status;
  }

  /** Calls over the Service and both replicas, twenty at a time, until two rounds in a row serve nothing. */
  async function exhaust(token: string): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = [];
    const endMs = performance.now() + 120_000;
    for (let barren = 0; barren < 2; ) {
      assert.ok(performance.now() < endMs, `still served after ${outcomes.length} calls in two minutes`);
      const origins = Array.from({ length: 20 }, (_, index) => [gateway, ...replicas][index % 3] ?? gateway);
      const round = await Promise.all(origins.map((origin) => call(origin, token)));
      outcomes.push(...round);
      barren = round.some(({ status }) => status === 200 || status === 429) ? 0 : barren + 1;
      // What is promised to the other replica comes back within moments.
      await pause(barren === 0 ? 50 : 1500);
    }
    return outcomes;
  }

  /** Recorded calls that a provider was paid for, once there are so many. */
  function paid(key: string, count: number): Promise<readonly CallBody[]> {
    return until(`${count} paid calls of ${key} are recorded`, async () => {
      const calls = world.calls(key).filter(({ costNanoUsd }) => BigInt(costNanoUsd) > 0n);
      return calls.length >= count && calls;
    });
  }

  const sum = (calls: readonly CallBody[]): bigint => calls.reduce((total, { costNanoUsd }) => total + BigInt(costNanoUsd), 0n);

  test('serves the token in the Secret at the address in the Secret, over the Service', async () => {
    const token = await served('person', { limits: [{ window: 'Day', usd: '1.00' }] });
    const { data } = await read(world.cluster, secretPath(agentsNamespace, 'person'));
    const item = (name: string): string => Buffer.from(data[name], 'base64').toString();
    assert.equal(item('openai-base-url'), 'http://keyforge-gateway.keyforge-system.svc/v1');
    assert.equal(item('api-key'), token);
    assert.deepEqual(await call(gateway, token), { status: 200, code: 'ok' });
  });

  test('does not know a key that is delivered to sidecars only', async () => {
    await world.key('sidecar-only');
    const token = await world.token('sidecar-only');
    await served('marker', {});
    for (const origin of [gateway, ...replicas]) assert.deepEqual(await call(origin, token), { status: 401, code: 'invalid_key' });
  });

  test('both replicas draw on one budget: the provider bills no more than the cap', async () => {
    const before = world.provider.bill();
    const token = await served('capped', { limits: [{ window: 'Total', usd: '0.01' }] });
    const outcomes = await exhaust(token);
    const served200 = outcomes.filter(({ status }) => status === 200).length;
    const bill = world.provider.bill();
    const billedNano = (bill.totalPico - before.totalPico) / 1000n;
    assert.ok(billedNano <= 10_000_000n, `billed ${billedNano} nano-USD`);
    // What is left would not have paid for one call's bound: 64 output tokens, and its input counted in bytes.
    assert.ok(billedNano > 10_000_000n - boundNano, `billed ${billedNano} nano-USD only`);
    assert.equal(bill.calls - before.calls, served200);
    const calls = await paid('capped', served200);
    assert.equal(calls.length, served200);
    assert.equal(sum(calls), billedNano);
    assert.deepEqual(new Set(outcomes.slice(-20).map(({ code }) => code)), new Set(['budget_exhausted']));
  });

  test('both replicas count requests once, towards one quota', async () => {
    const before = world.provider.bill().calls;
    const token = await served('counted', { limits: [{ window: 'Total', usd: '1.00', requests: 30 }] });
    const outcomes = await exhaust(token);
    assert.equal(outcomes.filter(({ status }) => status === 200).length, 30);
    assert.equal(world.provider.bill().calls - before, 30);
    assert.deepEqual(new Set(outcomes.slice(-20).map(({ code }) => code)), new Set(['quota_exhausted']));
  });

  test('a rotated token goes on for the overlap at both replicas, and no longer', async () => {
    const old = await served('rotated', { rotation: { every: '720h', overlap: '20s' } });
    const rotatedMs = performance.now();
    await world.cluster.client.request(
      'PATCH',
      keyPath(agentsNamespace, 'rotated'),
      { metadata: { annotations: { 'keyforge.dev/rotate': 'now' } } },
      'application/merge-patch+json',
    );
    const next = await until('the Secret holds another token', async () => {
      const token = await world.token('rotated');
      return token !== old && token;
    });
    await everywhere(next, true);
    assert.ok(performance.now() - rotatedMs < 19_000, 'the new token took too long to see an overlap');
    for (const origin of replicas) assert.equal((await call(origin, old)).status, 200);
    await everywhere(old, false);
    assert.ok(performance.now() - rotatedMs > 19_500, 'the old token ended before its overlap');
    for (const origin of replicas) assert.equal((await call(origin, next)).status, 200);
  });

  test('a deleted key is dead at both replicas within 5 s', async (t) => {
    const token = await served('killed', {});
    const startedMs = performance.now();
    await world.cluster.client.request('DELETE', keyPath(agentsNamespace, 'killed'));
    const deaths = replicas.map(async (origin) => {
      // A busy machine is given more than users are promised.
      await until(`${origin} refuses it`, async () => (await self(origin, token)) === 401, 5_000);
      return performance.now() - startedMs;
    });
    for (const tookMs of await Promise.all(deaths)) t.diagnostic(`dead after ${Math.round(tookMs)} ms`);
  });

  test('what both replicas recorded verifies, beside the running operator', async () => {
    const { code, stdout } = await runKeyforge(['audit', 'verify', '--data', world.dataDir]);
    assert.match(stdout, /^intact: \d+ entries in \d+ epochs verified$/m);
    assert.equal(code, 0);
  });
});
