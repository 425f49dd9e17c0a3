import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import type { BuiltImage, BuiltImages } from '../../scripts/images/build.ts';
import { type Simulation, startSimulation } from '../../simulator/provider.ts';
import { canRunPods } from './cluster.ts';
import { nodeImage } from './image.ts';
import { read, until } from './operator-world.ts';
import { type ReleaseCluster, startReleaseCluster } from './release.ts';
import { run } from './run.ts';

const machine = await canRunPods();
const root = join(import.meta.dirname, '..', '..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const credential = 'sk-sim-readme-CANARY-0123456789abcdef';
/** Where nothing is built yet. */
const building = { timeout: 600_000 };
const agent = { namespace: 'agents', container: 'agent' };

/** The fenced blocks of README's section on Kubernetes that begin with this word, line by line. */
function lines(language: 'sh' | 'text'): readonly string[] {
  const section = /^## On Kubernetes$(.*?)^## /ms.exec(readme)?.[1] ?? '';
  return [...section.matchAll(/^```(\w+)\n(.*?)^```$/gms)].flatMap(([, word, text = '']) =>
    word === language ? text.split('\n').filter((line) => line !== '') : [],
  );
}

/** A line of the log as README shows it: amounts and the model's words differ from day to day. */
function likeIt(line: string): RegExp {
  const [, status = '', rest = ''] = /^(\d+) (.*)$/.exec(line) ?? [];
  const [, left] = / (\(\S+ USD left\))$/.exec(rest) ?? [];
  return new RegExp(left === undefined ? `^${status} ${rest}` : `^${status} .+ \\(${/^\((\d\.\d)/.exec(left)?.[1]}\\d* USD left\\)$`);
}

describe('the quick start of README', { skip: machine.ok ? false : machine.why, timeout: 900_000 }, () => {
  let release: ReleaseCluster;
  let provider: Simulation;

  before(async () => {
    release = await startReleaseCluster();
    const { cluster } = release;
    provider = await startSimulation({ host: cluster.hostAddress, credentials: [credential] });
    // By the name that the manifest gives: this node pulls nothing.
    const image = { name: 'docker.io/library/node:26-slim', folder: cluster.folder, files: {}, entrypoint: ['/usr/local/bin/node'] };
    await cluster.importImage(await nodeImage(image));
  }, building);
  after(async () => {
    await release?.cluster.close();
    await provider?.close();
  });

  /** What each command does, the way `kubectl` and a shell would do it. A line that none of these is fails the test. */
  const commands: readonly (readonly [RegExp, (...words: readonly string[]) => Promise<unknown>])[] = [
    [
      /^npm run --silent images -- --out dist$/,
      async () => {
        const out = join(release.cluster.folder, 'dist');
        const built = JSON.parse(await run('npm', ['run', '--silent', 'images', '--', '--out', out], { folder: root })) as BuiltImages;
        const identity = ({ reference, digest }: BuiltImage): readonly string[] => [reference, digest];
        for (const program of ['operator', 'proxy'] as const)
          assert.deepEqual(identity(built[program]), identity(release.images[program]), 'it is what the node has');
      },
    ],
    [
      /^helm install (\S+) (\S+) (.+)$/,
      // Added here: the node has no storage class.
      (name = '', chart = '', flags = '') =>
        release.helm('install', name, join(root, chart), ...flags.split(' '), '--set', 'operator.persistence.enabled=false'),
    ],
    [
      /^kubectl create secret generic (\S+) --namespace (\S+) --from-literal=(\w+)="\$OPENAI_API_KEY"$/,
      (name, namespace, item = '') =>
        release.cluster.apply({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, stringData: { [item]: credential } }),
    ],
    [
      /^kubectl apply -f (.+)$/,
      async (files = '') => {
        for (const file of files.split(' -f ')) await applyFile(file);
      },
    ],
    [/^kubectl logs --namespace agents deployment\/research-agent --container agent --follow$/, () => seen('200')],
    [
      /^kubectl delete virtualkey (\S+) --namespace (\S+)$/,
      async (name, namespace) => {
        await release.cluster.client.request('DELETE', `/apis/keyforge.dev/v1alpha1/namespaces/${namespace}/virtualkeys/${name}`);
        await seen('401');
      },
    ],
  ];

  /** As written; added here: the address of the simulated provider, since there is no way out of this machine. */
  async function applyFile(file: string): Promise<void> {
    for (const document of parseAllDocuments(readFileSync(join(root, file), 'utf8'))) {
      if (document.get('kind') === 'ProviderPool') document.setIn(['spec', 'endpoint'], provider.url);
      await release.cluster.apply(document.toString());
    }
  }

  /** Resolves once the agent's log has the line of README that begins so. */
  async function seen(status: string): Promise<void> {
    const line = lines('text').find((each) => each.startsWith(status));
    assert.ok(line !== undefined, `README shows no line ${status}`);
    const { cluster } = release;
    await until(
      `a log like: ${line}`,
      async () => {
        const { items } = await read(cluster, `/api/v1/namespaces/${agent.namespace}/pods`);
        const text = await cluster.podLogs(agent.namespace, items[0].metadata.name, agent.container);
        return text.split('\n').some((each) => likeIt(line).test(each.trim()));
      },
      120_000,
    );
  }

  for (const line of lines('sh')) {
    const command = line.replace(/\s+#.*$/, '');
    test(command, async () => {
      const [found] = commands.flatMap(([pattern, act]) => {
        const match = pattern.exec(command);
        return match === null ? [] : [() => act(...match.slice(1))];
      });
      assert.ok(found !== undefined, 'the test does not know this command: teach it, or write another');
      await found();
    });
  }

  test('what the agent used is the real credential’s, and the agent never had it', async () => {
    assert.ok(provider.bill().calls > 0);
    assert.equal(
      release.cluster.processes().some(({ environment }) => environment.join().includes(credential)),
      false,
    );
  });

  test('its section has commands and a log', () => {
    assert.ok(lines('sh').length >= 5);
    assert.ok(lines('text').length >= 2);
  });
});
