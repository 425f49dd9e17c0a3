import assert from 'node:assert/strict';
import type { Agent, Outcome } from './agent-pod.ts';
import { read, until } from './operator-world.ts';
import type { NodeProcess } from './processes.ts';
import { systemNamespace } from './release.ts';
import { agentsNamespace, isReady, nanoOf, type World } from './world.ts';

/** Where a group of tests plays. */
export interface Stage {
  readonly options: { readonly skip: string | false; readonly timeout: number };
  /** Only there once tests run. */
  world(): World;
}

export const podsPath: string = `/api/v1/namespaces/${agentsNamespace}/pods`;

export function failed(outcomes: readonly Outcome[]): readonly Outcome[] {
  return outcomes.filter(({ ok }) => !ok);
}

/** The one agent of a key. */
export async function agentOf(world: World, key: string): Promise<Agent> {
  const [only] = await world.agents(key);
  assert.ok(only);
  return only;
}

/** What the provider billed while `work` ran, in nano-USD; nothing else may run meanwhile. */
export async function billedNano(world: World, work: () => Promise<unknown>): Promise<number> {
  const before = world.provider.bill().totalPico;
  await work();
  return Number(world.provider.bill().totalPico - before) / 1000;
}

/** Waits until this much is recorded of a key, to the nano-dollar. */
export async function untilRecorded(world: World, key: string, nano: number): Promise<void> {
  await until(`${nano} nano-USD recorded of ${key}`, async () => nanoOf(world.calls(key)) === nano);
}

/** Of calls whose outcome a killed proxy took with it, in nano-USD. */
export function estimatedNano(world: World): number {
  return world
    .records()
    .flatMap((body) => (body.type === 'epoch_recovered' ? body.charges.flatMap(({ paidFrom }) => paidFrom) : []))
    .reduce((total, { costNanoUsd }) => total + Number(costNanoUsd), 0);
}

export async function scale({ cluster }: World, namespace: string, deployment: string, replicas: number): Promise<void> {
  const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${deployment}`;
  assert.equal((await cluster.client.request('PATCH', path, { spec: { replicas } })).status, 200);
}

interface OperatorPod {
  readonly metadata: { readonly name: string };
  readonly status: { readonly containerStatuses: readonly { readonly ready: boolean; readonly restartCount: number }[] };
}

/** The operator's Pod; null where there is none. */
export async function operatorPod({ cluster }: World): Promise<OperatorPod | null> {
  const query = 'labelSelector=app.kubernetes.io%2Fcomponent%3Doperator';
  return (await read(cluster, `/api/v1/namespaces/${systemNamespace}/pods?${query}`)).items[0] ?? null;
}

/** The one process of a container, as the node sees it. */
export async function mainProcess({ cluster }: World, namespace: string, pod: string, container: string): Promise<NodeProcess> {
  const { status } = await read(cluster, `/api/v1/namespaces/${namespace}/pods/${pod}`);
  const { containerID } = [...(status.initContainerStatuses ?? []), ...status.containerStatuses].find(({ name }) => name === container);
  const found = cluster.processes().filter(({ containerId }) => containerId !== undefined && containerID.endsWith(containerId));
  const [main] = found;
  assert.ok(main !== undefined && found.length === 1, `${container} of ${pod} has ${found.length} processes`);
  return main;
}

/** Ends a container as the kernel does for want of memory. */
export async function killContainer(world: World, namespace: string, pod: string, container: string): Promise<void> {
  process.kill((await mainProcess(world, namespace, pod, container)).pid, 'SIGKILL');
}

export async function podIsReady({ cluster }: World, pod: string): Promise<boolean> {
  return isReady(await read(cluster, `${podsPath}/${pod}`));
}

/** What the proxy of a Pod logged, once a line holds the text. */
export async function untilLogged({ cluster }: World, pod: string, text: string): Promise<string> {
  return until(`the proxy of ${pod} logs ${text}`, async () => {
    const log = await cluster.podLogs(agentsNamespace, pod, 'keyforge-proxy');
    const line = log.split('\n').find((each) => each.includes(text));
    return line !== undefined && String(JSON.parse(line).msg);
  });
}
