import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type RunManifests, readRunManifests } from './manifests.ts';
import type { RunOptions } from './options.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keyforge-manifests-'));
});
after(() => rm(folder, { recursive: true }));

const secrets = { KEYFORGE_SECRET_OPENAI_API_KEY: 'sk-credential' };

async function read(
  text: string,
  more: Partial<RunOptions> = {},
  given: Record<string, string> = secrets,
): Promise<RunManifests | { problems: readonly string[] }> {
  const file = join(folder, 'agent.policy.yaml');
  await writeFile(file, text);
  return readRunManifests({ files: [file], command: ['true'], keepData: false, ...more }, given);
}

function specOf(manifests: Awaited<ReturnType<typeof read>>): Record<string, unknown> {
  assert.ok('documents' in manifests, JSON.stringify(manifests));
  const found = manifests.documents.find((each) => (each as { kind: string }).kind === 'VirtualKey');
  return (found as { spec: Record<string, unknown> }).spec;
}

test('a policy alone gets a pool for each credential of the environment', async () => {
  const manifests = await read('limits: [{window: Day, usd: "1.00"}]');
  assert.ok('documents' in manifests);
  assert.equal(manifests.key, 'default/agent');
  assert.deepEqual(specOf(manifests)['pools'], [{ namespace: 'keyforge-system', name: 'openai' }]);
  assert.equal(manifests.documents.length, 2);
});

test('--usd, --ttl and spec.run only ever narrow', async () => {
  const text = 'limits: [{window: Total, usd: "3.00", requests: 9}]\nttl: 10m\nrun: {scope: Job, usd: "2.00", ttl: 5m}';
  assert.deepEqual(specOf(await read(text, { usdNano: 5e9, ttlMs: 3_600_000 }))['limits'], [{ window: 'Total', usd: '2.00', requests: 9 }]);
  assert.equal(specOf(await read(text, { ttlMs: 3_600_000 }))['ttl'], '300s');
  assert.deepEqual(specOf(await read(text, { usdNano: 1e9, ttlMs: 60_000 }))['limits'], [{ window: 'Total', usd: '1.00', requests: 9 }]);
  assert.equal(specOf(await read(text, { ttlMs: 60_000 }))['ttl'], '60s');
});

test('an earlier expiresAt outlives no --ttl', async () => {
  const soon = new Date(Date.now() + 10_000).toISOString();
  const spec = specOf(await read(`expiresAt: "${soon}"`, { ttlMs: 60_000 }));
  assert.equal(spec['expiresAt'], soon);
  assert.equal(spec['ttl'], undefined);
  assert.equal(specOf(await read('expiresAt: "2099-01-01T00:00:00Z"', { ttlMs: 60_000 }))['ttl'], '60s');
});

test('credentials among the manifests become secrets and are in no document', async () => {
  const manifests = await read(
    'limits: [{window: Day, usd: "1.00"}]\n---\nkind: Secret\napiVersion: v1\nmetadata: {name: openai, namespace: keyforge-system}\nstringData: {proj-a: sk-in-a-file}\n',
  );
  assert.ok('documents' in manifests, JSON.stringify(manifests));
  assert.equal(manifests.secrets['KEYFORGE_SECRET_OPENAI_PROJ_A'], 'sk-in-a-file');
  assert.doesNotMatch(JSON.stringify(manifests.documents), /sk-in-a-file/);
});

test('what cannot run is told with its file and line', async () => {
  assert.match(JSON.stringify(await read('limits: [{window: Dya, usd: "1.00"}]')), /agent\.policy\.yaml:1.*Dya/);
  assert.match(JSON.stringify(await read('limits: []', {}, {})), /no pool/);
  const two = ['a', 'b'].map(
    (name) => `kind: VirtualKey\napiVersion: keyforge.dev/v1alpha1\nmetadata: {name: ${name}, namespace: x}\nspec: {}\n`,
  );
  assert.match(JSON.stringify(await read(two.join('---\n'))), /more than one key/);
});
