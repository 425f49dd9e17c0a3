import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agentTemplate, type Outcome } from './agent-pod.ts';
import { read, until } from './operator-world.ts';
import { agentOf, billedNano, failed, podsPath, type Stage, scale, untilRecorded } from './stage.ts';
import { agentsNamespace } from './world.ts';

interface PodEnd {
  readonly status: {
    readonly initContainerStatuses: readonly { readonly state: { readonly terminated?: { readonly exitCode: number } } }[];
  };
}

/** Agents as they come, work and go. */
export function agentsLive({ world: theWorld, options }: Stage): void {
  test('unmodified SDKs talk through the injected sidecar, and what the provider bills is what is recorded', options, async () => {
    const world = theWorld();
    await world.key('bot');
    const bot = await agentOf(world, 'bot');
    const billed = await billedNano(world, async () => {
      for (const sdk of ['openai', 'anthropic'] as const) {
        for (const stream of [false, true]) {
          const [outcome] = await bot.call({ sdk, stream, content: `hello from ${sdk}` });
          assert.ok(outcome?.ok, JSON.stringify(outcome));
          assert.match(outcome.text, /hello from/);
        }
      }
    });
    await untilRecorded(world, 'bot', billed);
    assert.equal(world.calls('bot').length, 4);
  });

  test('Jobs and CronJobs end with their sidecar, and each run has an account of its own', options, async (t) => {
    const world = theWorld();
    await world.key('worker', { run: { usd: '0.50', ttl: '1h' } });
    const job = { template: agentTemplate('worker', { args: ['once'] }), backoffLimit: 0 };
    const batch = `/apis/batch/v1/namespaces/${agentsNamespace}`;
    const metadata = { namespace: agentsNamespace };
    for (const name of ['work-1', 'work-2'])
      await world.cluster.apply({ apiVersion: 'batch/v1', kind: 'Job', metadata: { ...metadata, name }, spec: job });
    // As if it had been due while the controller was away, and not again before tomorrow: nobody waits for the minute, and no
    // run of the next minute is billed to the test that follows.
    const due = new Date(Date.now() - 60_000);
    const spec = { schedule: `${due.getUTCMinutes()} ${due.getUTCHours()} * * *`, timeZone: 'Etc/UTC', jobTemplate: { spec: job } };
    await world.cluster.apply({ apiVersion: 'batch/v1', kind: 'CronJob', metadata: { ...metadata, name: 'nightly' }, spec });
    const lastScheduleTime = new Date(due.getTime() - 60_000).toISOString();
    await world.cluster.client.request('PATCH', `${batch}/cronjobs/nightly/status`, { status: { lastScheduleTime } });
    const jobs = await until('three Jobs are complete', async () => {
      const { items } = await read(world.cluster, `${batch}/jobs`);
      const complete = items.filter(({ status }: { status: { completionTime?: string } }) => status.completionTime !== undefined);
      return complete.length === 3 && complete;
    });
    const accounts = new Set<string>();
    for (const {
      metadata: { name },
      status,
    } of jobs) {
      const seconds = (Date.parse(status.completionTime) - Date.parse(status.startTime)) / 1000;
      t.diagnostic(`Job ${name} was complete after ${seconds} s`);
      // One that had to be killed for its Pod to end would say 137.
      const { items } = await read(world.cluster, `${podsPath}?labelSelector=batch.kubernetes.io%2Fjob-name%3D${name}`);
      const ends = items.flatMap(({ status: { initContainerStatuses } }: PodEnd) => initContainerStatuses.map(({ state }) => state));
      assert.deepEqual(
        ends.map(({ terminated }: PodEnd['status']['initContainerStatuses'][number]['state']) => terminated?.exitCode),
        [0],
        JSON.stringify(ends),
      );
      const calls = await until(`the call of ${name}`, async () => {
        const found = world.calls('worker').filter(({ run }) => run === `Job ${name}`);
        return found.length > 0 && found;
      });
      assert.deepEqual(
        calls.map(({ code, path }) => ({ code, path })),
        [{ code: 'ok', path: ['agents/worker'] }],
      );
      for (const { key } of calls) accounts.add(key);
    }
    assert.equal(accounts.size, jobs.length);
  });

  test('an agent still calls while its Pod ends, then the sidecar gives back what is left', options, async () => {
    const world = theWorld();
    await world.key('leaver');
    const leaver = await agentOf(world, 'leaver');
    const { uid } = (await read(world.cluster, `${podsPath}/${leaver.pod}`)).metadata;
    const billed = await billedNano(world, async () => {
      await leaver.call({ content: 'hello' });
      assert.ok(world.openGrants('leaver') > 0);
      await scale(world, agentsNamespace, 'agent-leaver', 0);
      await until('the Pod is gone', async () => (await read(world.cluster, `${podsPath}/${leaver.pod}`)) === null);
    });
    await untilRecorded(world, 'leaver', billed);
    assert.deepEqual(
      world.calls('leaver').map(({ code }) => code),
      ['ok', 'ok'],
    );
    assert.ok(world.provider.calls().some(({ body }) => body.includes(`last words of ${leaver.pod}`)));
    const ends = world.records().filter((body) => body.type === 'epoch_close' && body.key === 'agents/leaver');
    assert.equal(ends.length, 1);
    assert.equal(world.openGrants('leaver'), 0);
    assert.ok(!world.records().some((body) => body.type === 'epoch_abandoned' && body.object.endsWith(uid)));
  });

  test('at the end of a budget several Pods share the last cents: never past the cap, and what fits is served', options, async (t) => {
    const world = theWorld();
    const capNano = 10_000_000;
    await world.key('poor', { limits: [{ window: 'Total', usd: '0.01' }] });
    const agents = await world.agents('poor', 3);
    const outcomes: Outcome[] = [];
    const billed = await billedNano(world, async () => {
      const each = agents.map((one) => one.call({ content: 'spend', times: 12, parallel: 3 }));
      outcomes.push(...(await Promise.all(each)).flat());
      // Whoever found the rest held by others was put off, not refused: it asks until it is.
      await until('it is refused for good', async () => {
        const last = outcomes.at(-1);
        if (last !== undefined && !last.ok && last.code !== 'budget_reserved') return true;
        outcomes.push(...((await agents[0]?.call({ content: 'spend' })) ?? []));
        return false;
      });
    });
    await untilRecorded(world, 'poor', billed);
    const codes = Object.groupBy(outcomes, (outcome) => (outcome.ok ? 'ok' : `${outcome.status} ${outcome.code}`));
    const counts = Object.entries(codes).map(([code, all]) => `${code}: ${all?.length}`);
    t.diagnostic(`billed ${billed} of ${capNano} nano-USD; ${counts.join(', ')}`);
    assert.deepEqual(
      Object.keys(codes).filter((code) => !['ok', '402 budget_exhausted', '429 budget_reserved'].includes(code)),
      [],
    );
    assert.ok(billed <= capNano);
    const needed = outcomes.flatMap((outcome) => (outcome.ok ? [] : (/needs \$(0\.\d+)/.exec(outcome.message)?.[1] ?? [])));
    const boundNano = Number(needed[0]) * 1e9;
    assert.ok(capNano - billed < boundNano, `${capNano - billed} nano-USD are left and a call of at most ${boundNano} was refused`);
    // A quarter of the output fits into what is left, twice; part of it is held by the other Pods.
    const more = await billedNano(world, async () => {
      for (const one of [agents[0], agents[2]])
        assert.deepEqual(failed((await one?.call({ content: 'spend', maxTokens: 16, retries: 10 })) ?? []), []);
    });
    assert.ok(more > 0 && billed + more <= capNano);
  });
}
