import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { spawnKeyforge } from './cli.ts';
import { bot, type Cluster, call, seeded, startCluster, startSidecar } from './cluster-money.fixture.ts';
import { eventually } from './harness.ts';

const pods = ['pod-1', 'pod-2', 'pod-3'];
const nanoPerUsd = 1e9;

/** What the provider bills, in nano-USD: what it comes to, and at most so much more where each call was rounded up. */
function billOf({ provider }: Cluster): { readonly nano: number; readonly roundings: number } {
  const { totalPico, calls } = provider.bill();
  return { nano: Number((totalPico + 999n) / 1000n), roundings: calls };
}

/** A call that the budget bears is served soon, whatever happened before. */
async function servesSoon(cluster: Cluster, url: string, what: string): Promise<void> {
  let last = '';
  await eventually(
    async () => {
      last = await call(url, cluster.token());
      return last === 'ok' ? last : undefined;
    },
    `a call through ${what}`,
    20_000,
  ).catch((error: Error) => assert.fail(`${error.message}; the last was ${last}`));
}

for (const seed of [1, 2]) {
  test(`seed ${seed}: over cuts, restarts, Pods taken for gone, rotations and edits the bill is what is settled, and within the cap`, async () => {
    const random = seeded(seed);
    const cluster = await startCluster(pods, '0.004');
    const sidecars = new Map(await Promise.all(pods.map(async (uid) => [uid, await startSidecar(cluster, uid)] as const)));
    const calls: Promise<string>[] = [];
    let highestUsd = 0.004;
    const steps: readonly (() => Promise<void> | void)[] = [
      () => cluster.cut(),
      () => cluster.restart(),
      () => cluster.broker.retire(pods[random(pods.length)] ?? ''),
      // As a sweep does, of Pods that are not new.
      () => {
        for (const uid of pods.slice(0, random(pods.length))) cluster.broker.retire(uid);
      },
      () => void cluster.broker.desk.rotate(bot, 60_000, 'admin'),
      async () => {
        const usd = [0.002, 0.004, 0.008][random(3)] ?? 0.004;
        highestUsd = Math.max(highestUsd, usd);
        await cluster.declare(String(usd));
      },
      async () => {
        const uid = pods[random(pods.length)] ?? '';
        await sidecars.get(uid)?.close();
        sidecars.set(uid, await startSidecar(cluster, uid));
      },
    ];
    try {
      for (let step = 0; step < 24; step += 1) {
        for (let more = random(4); more > 0; more -= 1) {
          const { url } = sidecars.get(pods[random(pods.length)] ?? '') ?? { url: '' };
          calls.push(call(url, cluster.token(), 20 + random(60)));
        }
        await pause(random(25));
        if (random(2) === 0) await steps[random(steps.length)]?.();
      }
      const outcomes = await Promise.all(calls);
      const billedUnderCap = billOf(cluster).nano;
      // Then all is calm, and there is money.
      await cluster.declare('0.1');
      for (const [uid, { url }] of sidecars) await servesSoon(cluster, url, uid);
      for (const { close } of sidecars.values()) await close();
      const bill = billOf(cluster);
      const { spentNanoUsd, outstandingNanoUsd, burnedNanoUsd } = await cluster.account();
      const above = Number(spentNanoUsd) - bill.nano;
      assert.ok(above >= 0 && above <= bill.roundings, `settled is ${above} nano-USD above the bill; ${outcomes.join()}`);
      assert.equal(outstandingNanoUsd, '0');
      assert.ok(billedUnderCap <= highestUsd * nanoPerUsd, `${billedUnderCap} nano-USD were billed, ${burnedNanoUsd} burned`);
      assert.deepEqual(cluster.check().problems, []);
    } finally {
      await Promise.all([...sidecars.values()].map(({ close }) => close()));
      await cluster.close();
    }
  });
}

/** `keyforge proxy` in a process of its own. */
async function spawnSidecar(cluster: Cluster, uid: string): Promise<{ readonly url: string; readonly process: ChildProcess }> {
  const tokenFile = join(cluster.dir, `${uid}.token`);
  await writeFile(tokenFile, uid);
  const listen = ['--listen', '127.0.0.1:0', '--metrics-listen', '127.0.0.1:0'];
  const files = ['--token-file', tokenFile, '--data', join(cluster.dir, uid)];
  const child = spawnKeyforge(['proxy', '--control', cluster.url, ...files, ...listen], { KEYFORGE_CONTROL_CA: cluster.ca });
  if (child.stderr === null) throw new Error('no stderr');
  for await (const line of createInterface(child.stderr)) {
    const { msg, url } = JSON.parse(line) as { readonly msg: string; readonly url?: string };
    if (msg === 'serving' && url !== undefined) {
      child.stderr.resume();
      return { url, process: child };
    }
  }
  throw new Error(`keyforge proxy of ${uid} ended before it served`);
}

async function kill(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  await once(child, 'exit');
}

test('sidecars killed with calls in flight, the operator killed beside them: what is settled and burned covers the bill, and a call that fits is served', async () => {
  const random = seeded(7);
  const cap = 0.01;
  const cluster = await startCluster(pods, String(cap));
  cluster.provider.rule({ conditions: { msPerToken: 2 } });
  const uids = pods.slice(0, 2);
  const sidecars = new Map(await Promise.all(uids.map(async (uid) => [uid, await spawnSidecar(cluster, uid)] as const)));
  const calls: Promise<string>[] = [];
  try {
    for (let round = 0; round < 3; round += 1) {
      for (const { url } of sidecars.values())
        for (let more = 3; more > 0; more -= 1) calls.push(call(url, cluster.token(), 20 + random(60)));
      await pause(random(150));
      if (random(2) === 0) await cluster.restart();
      const uid = uids[round % uids.length] ?? '';
      const { process } = sidecars.get(uid) ?? {};
      if (process !== undefined) await kill(process, 'SIGKILL');
      sidecars.set(uid, await spawnSidecar(cluster, uid));
    }
    await Promise.all(calls);
    for (const [uid, { url }] of sidecars) await servesSoon(cluster, url, uid);
    for (const { process } of sidecars.values()) await kill(process, 'SIGTERM');
    const { spentNanoUsd, outstandingNanoUsd, burnedNanoUsd } = await cluster.account();
    const bill = billOf(cluster);
    assert.ok(Number(spentNanoUsd) >= bill.nano, `${spentNanoUsd} settled, ${bill.nano} billed`);
    assert.ok(bill.nano <= cap * nanoPerUsd && Number(spentNanoUsd) <= cap * nanoPerUsd);
    assert.deepEqual([outstandingNanoUsd, burnedNanoUsd], ['0', '0']);
    assert.deepEqual(cluster.check().problems, []);
  } finally {
    for (const { process } of sidecars.values()) await kill(process, 'SIGKILL');
    await cluster.close();
  }
});

test('a run that is past its ttl is answered key_expired, and its key lives on', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
  // The Pods of this world were created in 1970.
  const hours = Math.ceil(Date.now() / 3_600_000) + 1;
  const endMs = hours * 3_600_000;
  const cluster = await startCluster(['pod-1'], '0.1', { run: { scope: 'Pod', ttl: `${hours}h` } });
  const { url, close } = await startSidecar(cluster, 'pod-1');
  const outcomeAt = (ms: number): Promise<string> => {
    t.mock.timers.setTime(ms);
    return call(url, cluster.token());
  };
  try {
    assert.equal(await outcomeAt(endMs - 1), 'ok');
    assert.equal(await outcomeAt(endMs), 'key_expired');
    cluster.broker.runUpkeep();
    assert.equal(await outcomeAt(endMs + 1), 'key_expired');
    assert.deepEqual(
      cluster.broker.desk.list().map(({ state }) => state),
      ['active', 'expired'],
    );
    assert.equal(cluster.provider.bill().calls, 1);
  } finally {
    await close();
    await cluster.close();
  }
});

test('an answer through one proxy is continued through another, and after a restart, at its own size', async () => {
  const cluster = await startCluster(pods, '0.05');
  const proxies = await Promise.all(pods.slice(0, 2).map((uid) => startSidecar(cluster, uid)));
  const [first, second] = proxies.map(({ url }) => url);
  const respond = (url: string | undefined, more: object): Promise<Response> =>
    fetch(`${url}/v1/responses`, {
      method: 'POST',
      headers: { authorization: `Bearer ${cluster.token()}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'gpt-5.4-mini', input: 'hello', max_output_tokens: 50, ...more }),
    });
  try {
    const { id } = (await (await respond(first, {})).json()) as { readonly id: string };
    // Its whole context would cost more than the budget.
    assert.equal((await respond(first, { previous_response_id: 'resp_of_nobody' })).status, 403);
    const continued = async (): Promise<true | undefined> => (await respond(second, { previous_response_id: id })).ok || undefined;
    await eventually(continued, 'the entry of the first answer to be stored');
    await cluster.restart();
    await eventually(continued, 'the answer to be continued after a restart');
  } finally {
    await Promise.all(proxies.map((proxy) => proxy.close()));
    await cluster.close();
  }
});

test('what a bill teaches through one proxy binds another one', async () => {
  const cluster = await startCluster(pods, '5.00');
  const proxies = await Promise.all(pods.slice(0, 2).map((uid) => startSidecar(cluster, uid)));
  const [first = '', second = ''] = proxies.map(({ url }) => url);
  const usage = { prompt_tokens: 9, completion_tokens: 500_000, total_tokens: 500_009 };
  const choices = [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }];
  const body = JSON.stringify({ id: 'c', object: 'chat.completion', model: 'gpt-5.4-mini', choices, usage });
  try {
    assert.equal(await call(second, cluster.token()), 'ok');
    cluster.provider.rule({ times: 1, fault: { kind: 'answer', status: 200, headers: { 'content-type': 'application/json' }, body } });
    assert.equal(await call(first, cluster.token()), 'ok');
    await eventually(async () => (await call(second, cluster.token())) === 'unmeterable_request' || undefined, 'the lesson to arrive');
  } finally {
    await Promise.all(proxies.map((proxy) => proxy.close()));
    await cluster.close();
  }
});
