import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { SimulatedCall } from '../../simulator/call.ts';
import { type Agent, agentTemplate, type Outcome } from './agent-pod.ts';
import { read, until } from './operator-world.ts';
import { systemNamespace } from './release.ts';
import {
  agentOf,
  billedNano,
  estimatedNano,
  failed,
  killContainer,
  mainProcess,
  operatorPod,
  podIsReady,
  podsPath,
  type Stage,
  scale,
  untilLogged,
} from './stage.ts';
import { agentsNamespace, nanoOf, type World } from './world.ts';

/** A proxy holds what it will spend in five times this: longer than an operator is away below, on a busy machine too. */
const fundingMs = 10_000;

/** What becomes of calls, money and records while parts of KeyForge or the cluster are away. */
export function agentsOutlastOutages({ world: theWorld, options }: Stage): void {
  test('a proxy, the operator and the API server that are killed in turn lose nothing and overspend nothing', options, async (t) => {
    const world = theWorld();
    await world.key('steady', { limits: [{ window: 'Day', usd: '5.00' }] });
    const steady = await agentOf(world, 'steady');
    const { cluster } = world;

    const proxyProcess = await mainProcess(world, agentsNamespace, steady.pod, 'keyforge-proxy');

    const proxy = await callUnder(world, steady, async () => {
      const before = world.provider.calls().length;
      world.provider.rule({ times: 1, conditions: { msPerToken: 150 } });
      await until('a slow call is on its way', async () => world.provider.calls().some((call, at) => at >= before && isGenerating(call)));
      await pause(300);
      process.kill(proxyProcess.pid, 'SIGKILL');
      await until('the proxy is back', async () => (await steady.call({ content: 'back?', retries: 0 }))[0]?.ok === true);
    });
    t.diagnostic(`proxy: ${describeAccount(proxy)}`);
    assert.ok(proxy.estimated > 0);
    // Nobody listened, or nobody could be asked for money yet.
    assert.ok(failed(proxy.outcomes).every((outcome) => !outcome.ok && [0, 503].includes(outcome.status)));

    const operator = await callUnder(world, steady, async () => {
      await pause(fundingMs);
      await killContainer(world, systemNamespace, (await operatorPod(world))?.metadata.name ?? '', 'operator');
      await until('the operator is back', async () => {
        const [container] = (await operatorPod(world))?.status.containerStatuses ?? [];
        return container?.ready && container.restartCount === 1;
      });
    });
    t.diagnostic(`operator: ${describeAccount(operator)}`);
    assert.equal(operator.estimated, 0);
    assert.deepEqual(failed(operator.outcomes), []);

    const apiServer = await callUnder(world, steady, async () => {
      await cluster.stopApiserver();
      await pause(2_000);
      await cluster.startApiserver();
    });
    t.diagnostic(`API server: ${describeAccount(apiServer)}`);
    assert.equal(apiServer.estimated, 0);
    assert.deepEqual(failed(apiServer.outcomes), []);
  });

  test('without an operator agents go on, and new Pods wait with a reason until it is back', options, async (t) => {
    const world = theWorld();
    const { cluster } = world;
    await world.key('late');
    const steady = await agentOf(world, 'steady');
    // Injected while the operator is there, started when it is not.
    const gated = agentTemplate('late', { spec: { schedulingGates: [{ name: 'example.com/wait' }] } });
    await cluster.apply({
      apiVersion: 'v1',
      kind: 'Pod',
      ...gated,
      metadata: { ...gated.metadata, name: 'late', namespace: agentsNamespace },
    });
    const load = await steady.load({ content: 'alone' });
    await pause(fundingMs);
    const endingMs = performance.now();
    await scale(world, systemNamespace, 'keyforge-operator', 0);
    await until('the operator is gone', async () => (await operatorPod(world)) === null);
    const awayMs = performance.now();
    t.diagnostic(`the operator took ${Math.round(awayMs - endingMs)} ms to end`);
    await cluster.client.request('PATCH', `${podsPath}/late`, { spec: { schedulingGates: null } });
    const line = await untilLogged(world, 'late', 'no session with the operator');
    const event = await until('the events tell it too', async () => {
      const { items } = await read(cluster, `/api/v1/namespaces/${agentsNamespace}/events?fieldSelector=involvedObject.name%3Dlate`);
      return items.find(({ reason }: { reason: string }) => reason === 'Unhealthy');
    });
    const template = agentTemplate('late');
    const refused = await cluster.client.request('POST', podsPath, { ...template, metadata: { ...template.metadata, name: 'refused' } });
    t.diagnostic(`sidecar: ${line}; event: ${event.message}`);
    assert.match(event.message, /Startup probe failed/);
    assert.equal(refused.status, 422);
    assert.match(refused.body.message, /did not get one: the webhook keyforge-injector was out of reach/);
    await pause(1_000);
    assert.ok(!(await podIsReady(world, 'late')));
    const outcomes = await load.stop();
    t.diagnostic(`${outcomes.length} calls went on, ${Math.round(performance.now() - awayMs)} ms of them without an operator`);
    const backMs = performance.now();
    await scale(world, systemNamespace, 'keyforge-operator', 1);
    await until('the Pod is ready', async () => await podIsReady(world, 'late'));
    t.diagnostic(`the Pod is ready ${Math.round(performance.now() - backMs)} ms after the operator was asked back`);
    // Only now: the tests that follow need the operator.
    assert.deepEqual(failed(outcomes), []);
  });

  test('a cap of two cents holds while a proxy, the operator and the API server are killed in turn', options, async (t) => {
    const world = theWorld();
    const { cluster } = world;
    const capNano = 20_000_000;
    await world.key('pinched', { limits: [{ window: 'Total', usd: '0.02' }] });
    const pinched = await agentOf(world, 'pinched');
    const estimatedBefore = estimatedNano(world);
    const outcomes: Outcome[] = [];
    const killings: Readonly<Record<string, () => Promise<unknown>>> = {
      proxy: () => killContainer(world, agentsNamespace, pinched.pod, 'keyforge-proxy'),
      operator: async () => killContainer(world, systemNamespace, (await operatorPod(world))?.metadata.name ?? '', 'operator'),
      apiServer: () => cluster.stopApiserver().then(() => cluster.startApiserver()),
    };
    const billed = await billedNano(world, async () => {
      for (const kill of Object.values(killings)) {
        // Some of the budget each time, so that it lasts for all three; the first two are slow, and on their way when it happens.
        world.provider.rule({ times: 2, conditions: { msPerToken: 150 } });
        const calls = pinched.call({ content: 'pinch', times: 5, parallel: 2 });
        await pause(300);
        await kill();
        outcomes.push(...(await calls));
      }
      await until('the operator is back', async () => (await operatorPod(world))?.status.containerStatuses[0]?.ready);
      await until(
        'nothing is left',
        async () => {
          outcomes.push(...(await pinched.call({ content: 'pinch', parallel: 4 })));
          const last = outcomes.at(-1);
          return last !== undefined && !last.ok && last.code === 'budget_exhausted';
        },
        120_000,
      );
    });
    world.provider.clearRules();
    const estimated = (): number => estimatedNano(world) - estimatedBefore;
    await until('all is recorded', async () => billed <= nanoOf(world.calls('pinched')) + estimated());
    const recorded = nanoOf(world.calls('pinched'));
    t.diagnostic(describeAccount({ outcomes, billed, recorded, estimated: estimated() }));
    assert.ok(billed <= capNano, `billed ${billed} nano-USD`);
    assert.ok(recorded + estimated() <= capNano, `recorded ${recorded}, estimated ${estimated()}`);
    assert.ok(recorded <= billed);
    assert.ok(outcomes.some(({ ok }) => ok));
  });
}

/** What an agent saw of its calls, and what became of the money, in nano-USD. */
interface CallsAccount {
  readonly outcomes: readonly Outcome[];
  readonly billed: number;
  readonly recorded: number;
  /** Of calls that a killed proxy had sent: each is charged at its bound. */
  readonly estimated: number;
}

/** Has the agent call while something is disturbed, until all is recorded; nothing is lost or charged below what was billed. */
async function callUnder(world: World, agent: Agent, disturb: () => Promise<unknown>): Promise<CallsAccount> {
  const recordedBefore = nanoOf(world.calls('steady'));
  const estimatedBefore = estimatedNano(world);
  const lastCalls = () => world.calls('steady').filter(({ dialect }) => dialect === 'anthropic.messages').length;
  const lastBefore = lastCalls();
  let outcomes: readonly Outcome[] = [];
  const billed = await billedNano(world, async () => {
    const load = await agent.load({ content: 'on and on', parallel: 2 });
    await pause(500);
    await disturb();
    await pause(1_000);
    outcomes = await load.stop();
    // Records come in order: once that of this call is there, all are.
    await agent.call({ content: 'the last', sdk: 'anthropic' });
  });
  await until('all calls are recorded', async () => lastCalls() > lastBefore, 60_000);
  const recorded = nanoOf(world.calls('steady')) - recordedBefore;
  const estimated = estimatedNano(world) - estimatedBefore;
  assert.ok(recorded <= billed && billed <= recorded + estimated, `billed ${billed}, recorded ${recorded}, estimated ${estimated}`);
  return { outcomes, billed, recorded, estimated };
}

function describeAccount({ outcomes, billed, recorded, estimated }: CallsAccount): string {
  const counts = `${outcomes.length} calls, ${failed(outcomes).length} failed`;
  return `${counts}; billed ${billed} nano-USD, recorded ${recorded}, charged at the bound ${estimated}`;
}

/** True where the provider has charged for an answer and not sent it yet. */
function isGenerating({ pico, finished, abandoned }: SimulatedCall): boolean {
  return pico > 0n && !finished && !abandoned;
}
