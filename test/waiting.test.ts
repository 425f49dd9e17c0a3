import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { bot, type Cluster, call, type Sidecar, startCluster, startSidecar } from './cluster-money.fixture.ts';
import { eventually } from './harness.ts';

const pods = ['pod-1', 'pod-2'];
const outputTokens = 50;

interface Sizes {
  readonly costNano: number;
  readonly boundNano: number;
}

/** What one call costs, and what it could have cost. */
async function measure(): Promise<Sizes> {
  const cluster = await startCluster(['pod-1'], '1');
  const { url, close } = await startSidecar(cluster, 'pod-1');
  try {
    cluster.provider.rule({ conditions: { outputTokens } });
    assert.equal(await call(url, cluster.token(), outputTokens), 'ok');
    const costNano = Number((cluster.provider.bill().totalPico + 999n) / 1000n);
    await cluster.declare('0.000001');
    const refusal = await refusalOf(url, cluster.token());
    const [, usd = ''] = /needs \$([0-9.]+)/.exec(refusal) ?? [];
    return { costNano, boundNano: Math.round(Number(usd) * 1e9) };
  } finally {
    await close();
    await cluster.close();
  }
}

async function refusalOf(url: string, token: string): Promise<string> {
  return eventually(async () => {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'gpt-5.4-mini', max_tokens: outputTokens, messages: [{ role: 'user', content: 'hello' }] }),
    });
    const text = await response.text();
    return text.includes('call that needs') ? text : undefined;
  }, 'a refusal with the bound of the call');
}

function countsOf(outcomes: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const outcome of outcomes) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}

function usdOf(nano: number): string {
  return (nano / 1e9).toFixed(9);
}

async function spentNano(cluster: Cluster): Promise<number> {
  return Number((await cluster.account()).spentNanoUsd);
}

test('a burst of 100 calls through two proxies on a budget for 95 serves 95 and refuses 5 for good', async () => {
  const { costNano, boundNano } = await measure();
  const cluster = await startCluster(pods, usdOf(94 * costNano + boundNano));
  cluster.provider.rule({ conditions: { outputTokens, msPerToken: 1 } });
  const sidecars = await Promise.all(pods.map((uid) => startSidecar(cluster, uid)));
  try {
    const calls = Array.from({ length: 100 }, (_, index) => call(sidecars[index % 2]?.url ?? '', cluster.token(), outputTokens));
    assert.deepEqual(countsOf(await Promise.all(calls)), { ok: 95, budget_exhausted: 5 });
    await eventually(async () => ((await spentNano(cluster)) === 95 * costNano ? true : undefined), 'all entries to be settled');
  } finally {
    await Promise.all(sidecars.map(({ close }) => close()));
    await cluster.close();
  }
});

/** Two proxies on a budget for two calls, one after the other; the first call is under way, and takes a second. */
async function startWaiting() {
  const { costNano, boundNano } = await measure();
  const cluster = await startCluster(pods, usdOf(costNano + boundNano));
  cluster.provider.rule({ conditions: { outputTokens, msPerToken: 20 } });
  const limits = { shutdownMs: 100 };
  const sidecars = await Promise.all(pods.map((uid) => startSidecar(cluster, uid, limits)));
  const [one, two] = sidecars as [Sidecar, Sidecar];
  const first = call(one.url, cluster.token(), outputTokens);
  await eventually(() => (cluster.provider.calls().length === 1 ? true : undefined), 'the first call to arrive');
  return {
    ...{ cluster, one, two, first, costNano },
    async [Symbol.asyncDispose]() {
      await Promise.all(sidecars.map(({ close }) => close()));
      await cluster.close();
    },
  };
}

test('a client that leaves frees its place: who waits behind it is served', async () => {
  await using world = await startWaiting();
  const { cluster, two, first } = world;
  const leaver = new AbortController();
  const left = call(two.url, cluster.token(), outputTokens, leaver.signal);
  await pause(100);
  const behind = call(two.url, cluster.token(), outputTokens);
  await pause(100);
  leaver.abort();
  assert.deepEqual([await first, await left, await behind], ['ok', 'broken', 'ok']);
  assert.equal(cluster.provider.bill().calls, 2);
});

test('a call that waits when its key is revoked ends at once', async () => {
  await using world = await startWaiting();
  const { cluster, two } = world;
  const started = performance.now();
  const waiting = call(two.url, cluster.token(), outputTokens);
  await pause(200);
  cluster.broker.desk.revoke(bot, 'admin');
  assert.equal(await waiting, 'key_revoked');
  assert.ok(performance.now() - started < 10_000, 'long before the end of its wait');
  const sent = cluster.provider.calls().filter(({ path }) => path === '/v1/chat/completions');
  assert.equal(sent.length, 1);
});

test('a proxy that stops while calls wait leaves nothing behind', async () => {
  await using world = await startWaiting();
  const { cluster, one, two, first } = world;
  const waiting = call(two.url, cluster.token(), outputTokens);
  await pause(200);
  await two.close();
  assert.equal(await waiting, 'broken');
  assert.equal(await first, 'ok');
  assert.equal(await call(one.url, cluster.token(), outputTokens), 'ok', 'the money that would have been for it');
  await one.close();
  const { outstandingNanoUsd, burnedNanoUsd, spentNanoUsd } = await cluster.account();
  assert.deepEqual([outstandingNanoUsd, burnedNanoUsd, spentNanoUsd], ['0', '0', String(2 * world.costNano)]);
});

test('calls of many sizes through two proxies are all served, large ones too, if the budget bears them', async () => {
  const sizes = Array.from({ length: 60 }, (_, index) => 20 + ((index * 37) % 60) * 10);
  const { costNano, boundNano } = await measure();
  const nanoPerToken = 4_500;
  const costs = sizes.map((tokens) => costNano + (tokens - outputTokens) * nanoPerToken);
  const largestNano = boundNano + (Math.max(...sizes) - outputTokens) * nanoPerToken;
  const totalNano = costs.reduce((sum, cost) => sum + cost, 0);
  const cluster = await startCluster(pods, usdOf(totalNano + largestNano));
  cluster.provider.rule({ conditions: { outputTokens: 10_000, msPerToken: 1 } });
  const sidecars = await Promise.all(pods.map((uid) => startSidecar(cluster, uid)));
  try {
    const outcomes = await Promise.all(sizes.map((tokens, index) => call(sidecars[index % 2]?.url ?? '', cluster.token(), tokens)));
    assert.deepEqual(countsOf(outcomes), { ok: sizes.length });
  } finally {
    await Promise.all(sidecars.map(({ close }) => close()));
    await cluster.close();
  }
});

/** A call that is served only with its whole output limit. */
async function exactCall(url: string, token: string, tokens: number): Promise<string> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'x-keyforge-max-tokens': 'exact' },
    body: JSON.stringify({ model: 'gpt-5.4-mini', max_tokens: tokens, messages: [{ role: 'user', content: 'hello' }] }),
  });
  const body = (await response.json()) as { readonly error?: { readonly code?: string } };
  return response.ok ? 'ok' : (body.error?.code ?? String(response.status));
}

test('small calls through one proxy do not starve a large one through another: half of its time they pass, then money is kept for it', async () => {
  const grantWaitMs = 4_000;
  // 4,000 tokens cost 18 million nano-dollars at most, 500 cost 2.25 million; the answers are short.
  const cluster = await startCluster(pods, '0.030');
  cluster.provider.rule({ conditions: { outputTokens: 5, msPerToken: 40 } });
  const sidecars = await Promise.all(pods.map((uid) => startSidecar(cluster, uid, { grantWaitMs })));
  const [one, two] = sidecars as [Sidecar, Sidecar];
  let isOver = false;
  let passed = 0;
  const keepCalling = async (): Promise<void> => {
    while (!isOver) if ((await call(one.url, cluster.token(), 500)) === 'ok') passed += 1;
  };
  try {
    const small = Array.from({ length: 16 }, keepCalling);
    await eventually(() => (passed >= 16 ? true : undefined), 'small calls to fill the budget');
    const [before, started] = [passed, performance.now()];
    const outcome = await exactCall(two.url, cluster.token(), 4_000);
    const waitedMs = performance.now() - started;
    isOver = true;
    await Promise.all(small);
    assert.equal(outcome, 'ok');
    assert.ok(passed > before && waitedMs >= grantWaitMs / 2, 'small calls passed it');
  } finally {
    isOver = true;
    await Promise.all(sidecars.map(({ close }) => close()));
    await cluster.close();
  }
});
