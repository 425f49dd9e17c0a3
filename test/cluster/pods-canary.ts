import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filesIn, memoryHolds, mountedFiles } from './canary.ts';
import { read } from './operator-world.ts';
import { systemNamespace } from './release.ts';
import { agentOf, mainProcess, operatorPod, type Stage } from './stage.ts';
import { agentsNamespace, providerKeys, type World } from './world.ts';

const canaries: readonly string[] = Object.values(providerKeys);

/** Provider keys and tokens, sought as root of the node and of the cluster can, where they must not be. */
export function secretsStayIn({ world: theWorld, options }: Stage): void {
  test('provider keys are in no Secret but those of their pools; the vault is sealed', options, async () => {
    const { cluster } = theWorld();
    const secrets = (await read(cluster, '/api/v1/secrets')).items as readonly SecretBody[];
    for (const { metadata, data = {} } of secrets) {
      if (metadata.namespace === systemNamespace && metadata.name in providerKeys) continue;
      const contents = Object.values(data).map((value) => Buffer.from(value, 'base64'));
      for (const content of contents) clean(`Secret ${metadata.namespace}/${metadata.name}`, content, canaries);
    }
    const vaults = secrets.filter(({ metadata }) => metadata.name.startsWith('keyforge-vault-'));
    assert.deepEqual([...new Set(vaults.map(({ metadata }) => metadata.namespace))], [systemNamespace]);
  });

  test('neither they nor tokens are in objects, logs, or the operator’s files', options, async () => {
    const world = theWorld();
    const { cluster } = world;
    const secrets = [...canaries, ...(await tokensOf(world))];
    const ours = ['virtualkeys', 'providerpools'].map((kind) => `apis/keyforge.dev/v1alpha1/${kind}`);
    for (const kind of ['api/v1/events', 'api/v1/pods', 'api/v1/configmaps', ...ours])
      clean(kind, (await cluster.client.request('GET', `/${kind}`)).text, secrets);
    for (const { metadata, spec } of (await read(cluster, '/api/v1/pods')).items)
      for (const { name } of [...(spec.initContainers ?? []), ...spec.containers])
        clean(`log of ${metadata.name} ${name}`, await cluster.podLogs(metadata.namespace, metadata.name, name).catch(() => ''), secrets);
    for (const folder of [cluster.logsFolder, world.dataDir]) for (const [path, content] of filesIn(folder)) clean(path, content, secrets);
  });

  test('on the node provider keys are in the memory of operator and proxies, and nowhere else', options, async (t) => {
    const world = theWorld();
    const tokens = await tokensOf(world);
    for (const { arguments: words, environment } of world.cluster.processes()) {
      const isAgent = words.includes('/agent.mjs');
      clean(`arguments of ${words[0]}`, words.join('\0'), [...canaries, ...tokens]);
      clean(`environment of ${words[0]}`, environment.join('\0'), isAgent ? canaries : [...canaries, ...tokens]);
    }
    const { pod } = await agentOf(world, 'bot');
    const inAgent = await mainProcess(world, agentsNamespace, pod, 'agent');
    const inProxy = await mainProcess(world, agentsNamespace, pod, 'keyforge-proxy');
    const inOperator = await mainProcess(world, systemNamespace, (await operatorPod(world))?.metadata.name ?? '', 'operator');
    for (const [name, { pid }] of Object.entries({ agent: inAgent, proxy: inProxy })) {
      const files = mountedFiles(pid);
      t.diagnostic(`${files.size} files in the mounts of the ${name}`);
      assert.ok(files.size > 0);
      for (const [path, content] of files) clean(`${path} of the ${name}`, content, [...canaries, ...tokens]);
    }
    const held = [inAgent, inProxy, inOperator].map(({ pid }) => canaries.map((key) => memoryHolds(pid, key)));
    assert.deepEqual(held, [canaries.map(() => false), canaries.map(() => true), canaries.map(() => true)]);
  });
}

interface SecretBody {
  readonly metadata: { readonly namespace: string; readonly name: string };
  readonly data?: Readonly<Record<string, string>>;
}

async function tokensOf(world: World): Promise<readonly string[]> {
  const tokens = await Promise.all(['bot', 'worker', 'poor', 'steady', 'late'].map(world.token));
  assert.ok(tokens.every((token) => token.startsWith('vk_')));
  return tokens;
}

function clean(what: string, content: string | Buffer, secrets: readonly string[]): void {
  for (const secret of secrets) assert.ok(!content.includes(secret), `${what} holds ${secret.slice(0, 12)}…`);
}
