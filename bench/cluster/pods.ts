import type { ApiClient } from '../../test/cluster/api-client.ts';
import type { ControlPlane } from '../../test/cluster/control-plane.ts';
import { demand } from './world.ts';

/** A Pod that was made. */
export interface MadePod {
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly uid: string;
}

/** What a Pod is to be. `key` null: it does not opt in. */
export interface PodPlan {
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly key: string | null;
}

/** Runs `work` over all items, so many at a time, in order. */
export async function eachOf<T>(items: readonly T[], atOnce: number, work: (item: T, index: number) => Promise<void>): Promise<void> {
  const queue = items.entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of queue) await work(item, index);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

/** Creates a Pod; with the milliseconds that the call took. */
export async function createPod(
  client: ApiClient,
  { namespace, name, node, key }: PodPlan,
): Promise<MadePod & { readonly tookMs: number }> {
  const optedIn = { labels: { 'keyforge.dev/inject': 'true' }, annotations: { 'keyforge.dev/virtual-key': key ?? '' } };
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, ...(key !== null && optedIn) },
    spec: {
      nodeName: node,
      tolerations: [{ operator: 'Exists' }],
      containers: [
        { name: 'agent', image: 'registry.example/agent:1', env: [{ name: 'LOG_LEVEL', value: 'info' }] },
        { name: 'tools', image: 'registry.example/tools:1' },
      ],
    },
  };
  const startMs = performance.now();
  const { body } = await demand(client, 'POST', `/api/v1/namespaces/${namespace}/pods`, pod);
  const tookMs = performance.now() - startMs;
  const hasProxy = ((body.spec.initContainers ?? []) as readonly { name: string }[]).some((each) => each.name === 'keyforge-proxy');
  if (hasProxy !== (key !== null)) throw new Error(`Pod ${namespace}/${name} was ${hasProxy ? '' : 'not '}injected`);
  return { namespace, name, node, uid: body.metadata.uid, tookMs };
}

/** Tokens as the kubelets of these Pods' nodes ask for them; nobody else may. */
export async function tokensOf(cp: ControlPlane, pods: readonly MadePod[]): Promise<readonly string[]> {
  const nodes = [...new Set(pods.map(({ node }) => node))];
  const clients = new Map(
    await Promise.all(nodes.map(async (node) => [node, await cp.clientFor(`system:node:${node}`, ['system:nodes'])] as const)),
  );
  const tokens: string[] = [];
  await eachOf(pods, 8, async ({ namespace, name, node, uid }, index) => {
    const boundObjectRef = { apiVersion: 'v1', kind: 'Pod', name, uid };
    const spec = { audiences: ['keyforge.dev/control'], expirationSeconds: 3600, boundObjectRef };
    const client = clients.get(node) ?? cp.client;
    const { body } = await demand(client, 'POST', `/api/v1/namespaces/${namespace}/serviceaccounts/default/token`, { spec });
    tokens[index] = body.status.token;
  });
  await Promise.all([...clients.values()].map((client) => client.close()));
  return tokens;
}

/** How long the API server waited for the webhook: upper bounds, in milliseconds, of the histogram's buckets that hold p50 and p99. */
export async function webhookWaits(client: ApiClient): Promise<{ readonly count: number; readonly p50: number; readonly p99: number }> {
  const { text } = await client.request('GET', '/metrics');
  const pattern = /^apiserver_admission_webhook_admission_duration_seconds_bucket\{name="inject\.keyforge\.dev".*le="([^"]+)"\} (\d+)/gm;
  const buckets = [...text.matchAll(pattern)].map(([, le, count]) => ({ ms: Number(le) * 1000, count: Number(count) }));
  const count = Math.max(0, ...buckets.map((bucket) => bucket.count));
  const at = (share: number): number => buckets.find((bucket) => bucket.count >= share * count)?.ms ?? Number.POSITIVE_INFINITY;
  return { count, p50: at(0.5), p99: at(0.99) };
}
