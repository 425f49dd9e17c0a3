import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { parseManifests } from '../../core/manifest/parse.ts';
import { formatProblem } from '../../core/problem.ts';
import { readYaml } from '../../operator/standalone/yaml.ts';
import type { ApiAnswer } from './api-client.ts';
import { canRunControlPlane } from './build.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { corpus } from './corpus/corpus.ts';
import { type CorpusManifest, wholeKey, wholePool } from './corpus/manifests.ts';
import { mutants } from './corpus/mutants.ts';
import { enforcePolicies } from './policies.ts';

const able = canRunControlPlane();
const crds = join(import.meta.dirname, '..', '..', 'crds');
const root = '/apis/keyforge.dev/v1alpha1/namespaces/default';
const pathOf = (manifest: CorpusManifest): string => `${root}/${manifest.kind === 'VirtualKey' ? 'virtualkeys' : 'providerpools'}`;

/** What `keyforge up -f` says of it; '' where it is good. */
function verdictOfUp(manifest: CorpusManifest): string {
  const { documents, problems } = readYaml('a.yaml', JSON.stringify(manifest));
  return [...problems, ...parseManifests(documents).problems].map(formatProblem).join('\n');
}

/** A mapping's member is `a.b` in our messages and `a[b]` in some of the API server's. */
function names(message: string, path: string): boolean {
  const last = path.lastIndexOf('.');
  return message.includes(path) || message.includes(`${path.slice(0, last)}[${path.slice(last + 1)}]`);
}

describe('the resources', { skip: able.ok ? false : able.why }, () => {
  let cluster: ControlPlane;

  const create = (manifest: CorpusManifest): Promise<ApiAnswer> =>
    cluster.client.request('POST', `${pathOf(manifest)}?dryRun=All&fieldValidation=Strict`, manifest);

  before(async () => {
    cluster = await startControlPlane();
    for (const file of ['virtualkeys.yaml', 'providerpools.yaml']) await cluster.apply(readFileSync(join(crds, file), 'utf8'));
    await enforcePolicies(cluster, { image: 'registry.example/keyforge-proxy:1' });
  });
  after(() => cluster?.close());

  describe('are judged alike by the API server and by keyforge up', () => {
    for (const { what, manifest, wrong, says = [] } of corpus) {
      it(`${wrong === undefined ? 'good' : 'bad'}: ${what}`, async () => {
        const answer = await create(manifest);
        const up = verdictOfUp(manifest);
        if (wrong === undefined) {
          assert.equal(up, '');
          assert.equal(answer.status, 201, answer.body.message);
          return;
        }
        const api = answer.status === 201 ? 'accepted' : String(answer.body.message);
        for (const [who, message] of [
          ['the API server', api],
          ['keyforge up', up],
        ] as const) {
          // biome-ignore format: one line
          assert.ok(names(message, wrong), `${who} names ${wrong}: ${message}`);
          for (const part of says) assert.ok(message.includes(part), `${who} says ${part}: ${message}`);
        }
      });
    }
  });

  it('are found by their short names and category, and listed with what people ask first', async () => {
    const { body } = await cluster.client.request('GET', '/apis/keyforge.dev/v1alpha1');
    const kinds = body.resources.filter(({ name }: { name: string }) => !name.includes('/'));
    const found = kinds.map(({ name, shortNames, categories }: Record<string, unknown>) => [name, shortNames, categories]);
    assert.deepEqual(
      new Set(found),
      new Set([
        ['virtualkeys', ['vk'], ['keyforge']],
        ['providerpools', ['kfpool'], ['keyforge']],
      ]),
    );
    const columnsOf = async (plural: string): Promise<readonly string[]> => {
      const table = await cluster.client.table(`/apis/keyforge.dev/v1alpha1/${plural}`);
      return table.body.columnDefinitions
        .filter(({ priority }: { priority: number }) => priority === 0)
        .map(({ name }: { name: string }) => name);
    };
    assert.deepEqual(await columnsOf('virtualkeys'), ['Name', 'Ready', 'Capped', 'Spent', 'Remaining', 'Window', 'Window Ends', 'Age']);
    assert.deepEqual(await columnsOf('providerpools'), ['Name', 'Provider', 'Ready', 'Consumers', 'Age']);
  });

  it('are judged alike with any one place changed', async () => {
    await fc.assert(
      fc.asyncProperty(mutants, async (manifest) => {
        const answer = await create(manifest);
        const up = verdictOfUp(manifest);
        assert.equal(answer.status === 201, up === '', `the API server: ${answer.body.message}\nkeyforge up: ${up}`);
      }),
      { numRuns: 400 },
    );
  });

  it('refuse an unknown field where it is applied on the server’s side, strict or not', async () => {
    const manifest = { ...wholeKey, spec: { modles: {} } };
    const answer = await cluster.client.request(
      'PATCH',
      `${pathOf(manifest)}/bot?dryRun=All&fieldManager=x&fieldValidation=Ignore`,
      manifest,
      'application/apply-patch+yaml',
    );
    assert.ok(answer.status >= 400);
    assert.match(answer.body.message, /spec\.modles: field not declared in schema/);
  });

  it('lose an unknown field, with a warning, to a client that does not ask for more', async () => {
    const manifest = { ...wholeKey, spec: { modles: {}, suspended: true } };
    const answer = await cluster.client.request('POST', `${pathOf(manifest)}?dryRun=All`, manifest);
    assert.equal(answer.status, 201);
    assert.deepEqual(Object.keys(answer.body.spec).sort(), ['delivery', 'issueToken', 'suspended']);
  });

  it('get the same defaults as from keyforge up', async () => {
    const manifest = { ...wholeKey, spec: { limits: [{ window: 'Day', usd: '1' }] } };
    const { spec } = (await create(manifest)).body;
    const parsed = parseManifests(readYaml('a.yaml', JSON.stringify(manifest)).documents).manifests.virtualKeys[0]?.spec;
    assert.deepEqual(
      [spec.issueToken, spec.suspended, spec.delivery, spec.limits[0].timeZone],
      [parsed?.issueToken, parsed?.suspended, parsed?.delivery, parsed?.limits[0]?.timeZone],
    );
    assert.equal(verdictOfUp({ ...manifest, spec }), '');
  });

  it('come back from the API server as keyforge up takes them', async () => {
    for (const manifest of [wholeKey, wholePool]) assert.equal(verdictOfUp((await create(manifest)).body), '');
  });

  it('let everything change but the provider of a pool', async () => {
    const pool = { ...wholePool, metadata: { ...wholePool.metadata, name: 'fixed' } };
    assert.equal((await cluster.client.request('POST', pathOf(pool), pool)).status, 201);
    const patch = (spec: object) => cluster.client.request('PATCH', `${pathOf(pool)}/fixed`, { spec });
    assert.match((await patch({ provider: 'OpenAI' })).body.message, /spec\.provider: .*provider cannot change.*make another pool/);
    assert.equal((await patch({ endpoint: 'https://elsewhere.example', consumers: [] })).status, 200);
    const key = { ...wholeKey, metadata: { ...wholeKey.metadata, name: 'moved' } };
    assert.equal((await cluster.client.request('POST', pathOf(key), key)).status, 201);
    const moved = await cluster.client.request('PATCH', `${pathOf(key)}/moved`, {
      spec: { parentRef: { name: 'other' }, secretName: 'other' },
    });
    assert.equal(moved.status, 200, moved.body.message);
  });

  it('name a pool twice in no way: the second time by the namespace of the key', async () => {
    const manifest = { ...wholeKey, spec: { pools: [{ name: 'a' }, { name: 'a', namespace: 'default' }] } };
    assert.match((await create(manifest)).body.message, /spec\.pools repeats default\/a; keep one/);
    assert.match(verdictOfUp(manifest), /pools\[1\] repeats "default\/a"; keep one/);
  });

  it('keep a status of their own, which a writer of specs cannot touch', async () => {
    const key = { ...wholeKey, metadata: { ...wholeKey.metadata, name: 'status' }, status: { spent: '9' } };
    const made = await cluster.client.request('POST', pathOf(key), key);
    assert.equal(made.status, 201);
    assert.equal(made.body.status, undefined);
    const now = '2026-12-01T00:00:00Z';
    const condition = (type: string) => ({
      type,
      status: 'True',
      reason: 'Ready',
      message: '',
      observedGeneration: 1,
      lastTransitionTime: now,
    });
    const status = {
      conditions: [condition('Ready'), condition('Capped')],
      observedGeneration: 1,
      keyHint: 'vk_…7xKm',
      secretName: 'status',
      window: 'Month',
      spent: '1.25',
      remaining: '48.75',
      windowEndsAt: now,
      requestsUsed: 7,
      activeProxies: 2,
    };
    const written = await cluster.client.request('PATCH', `${pathOf(key)}/status/status?fieldValidation=Strict`, { status });
    assert.deepEqual(written.body.status, status);
    const table = await cluster.client.request('GET', `${pathOf(key)}/status`);
    assert.equal(table.body.metadata.generation, 1);
  });

  it('are found by their short names and their category, and do not scale', async () => {
    const { body } = await cluster.client.request('GET', '/apis/keyforge.dev/v1alpha1');
    const found = (body.resources as { name: string; shortNames?: string[]; categories?: string[] }[]).map(
      ({ name, shortNames, categories }) => ({ name, shortNames, categories }),
    );
    assert.deepEqual(
      found.sort((a, b) => a.name.localeCompare(b.name)),
      [
        { name: 'providerpools', shortNames: ['kfpool'], categories: ['keyforge'] },
        { name: 'providerpools/status', shortNames: undefined, categories: undefined },
        { name: 'virtualkeys', shortNames: ['vk'], categories: ['keyforge'] },
        { name: 'virtualkeys/status', shortNames: undefined, categories: undefined },
      ],
    );
  });
});
