import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { readRunManifests } from '../cli/run/manifests.ts';
import { parseRunOptions } from '../cli/run/options.ts';
import { refusalTable } from '../core/errors.ts';
import { parseManifests } from '../core/manifest/parse.ts';
import { secretVariable } from '../operator/standalone/credentials.ts';
import { loadPaths } from '../operator/standalone/load.ts';

const root = join(import.meta.dirname, '..');

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

function documents(): readonly string[] {
  const docs = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.md'));
  return ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md', ...docs.map((name) => join('docs', name))];
}

test('docs/errors.md has every refusal code with its status, and no other', () => {
  const lines = read('docs/errors.md')
    .split('\n')
    .filter((line) => line.startsWith('|'));
  const table = new Map<string, string>();
  for (const line of lines) {
    const codes = [...(line.split('|')[1] ?? '').matchAll(/`([a-z_]+)`/g)].map((match) => match[1] ?? '');
    const statuses = [...(line.split('|')[2] ?? '').matchAll(/\d{3}/g)].map((match) => match[0]);
    for (const [index, code] of codes.entries()) table.set(code, statuses[index] ?? statuses.at(-1) ?? '');
  }
  for (const [code, { status }] of Object.entries(refusalTable)) assert.equal(table.get(code), String(status), code);
  const known = [...Object.keys(refusalTable), 'ok', 'client_disconnected', 'provider_rejected'];
  assert.deepEqual(
    [...table.keys()].filter((code) => !known.includes(code)),
    [],
  );
});

test('every `npm run` in the documents is a script of package.json', () => {
  const scripts = Object.keys((JSON.parse(read('package.json')) as { readonly scripts: object }).scripts);
  const unknown = documents().flatMap((path) =>
    [...read(path).matchAll(/npm run (?:--silent )?([\w:-]+)/g)]
      .map((match) => match[1] ?? '')
      .filter((name) => !scripts.includes(name))
      .map((name) => `${path}: ${name}`),
  );
  assert.deepEqual(unknown, []);
});

test('every relative link in the documents leads somewhere', () => {
  const broken = documents().flatMap((path) =>
    [...read(path).matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)/g)]
      .map((match) => match[1] ?? '')
      .filter((target) => !existsSync(join(root, dirname(path), target)))
      .map((target) => `${path}: ${target}`),
  );
  assert.deepEqual(broken, []);
});

test('every file under examples/ that the documents name is there', () => {
  const missing = documents().flatMap((path) =>
    [...read(path).matchAll(/\bexamples\/[\w./-]+\w/g)]
      .map((match) => match[0])
      .filter((file) => !existsSync(join(root, file)))
      .map((file) => `${path}: ${file}`),
  );
  assert.deepEqual(missing, []);
});

test('every manifest that README shows is the example of that name', () => {
  const shown = [...read('README.md').matchAll(/^```yaml\n# (\S+)\n(.*?)^```$/gms)];
  assert.ok(shown.length >= 2);
  for (const [, file = '', text] of shown) assert.equal(text, read(file).replace(/^(#.*\n)+/, ''), file);
});

test('every dependency has its line in docs/dependencies.md', () => {
  const text = read('docs/dependencies.md');
  const { dependencies } = JSON.parse(read('package.json')) as { readonly dependencies: Readonly<Record<string, string>> };
  assert.deepEqual(
    Object.keys(dependencies).filter((name) => !text.includes(name)),
    [],
  );
});

test('every manifest of the examples is read without a problem', async () => {
  const ours = ['Namespace', 'ProviderPool', 'VirtualKey', undefined];
  const files = readdirSync(join(root, 'examples'), { recursive: true, encoding: 'utf8' }).filter((name) => /\w\/.*\.yaml$/.test(name));
  assert.ok(files.length >= 12, files.join());
  for (const file of files) {
    const { documents, problems } = await loadPaths([join(root, 'examples', file)]);
    const { manifests, problems: more } = parseManifests(documents.filter(({ value }) => ours.includes((value as { kind?: string }).kind)));
    assert.deepEqual([...problems, ...more], [], file);
    assert.ok(manifests.virtualKeys.length + manifests.pools.length + Number(file.endsWith('agent.yaml')) > 0, file);
  }
});

test('the step of the GitHub workflow is a command that KeyForge takes, with every credential that its pools name', async () => {
  const { jobs } = parse(read('examples/github-actions.yaml')) as {
    readonly jobs: {
      readonly review: { readonly steps: readonly { readonly run?: string; readonly env?: Readonly<Record<string, string>> }[] };
    };
  };
  const { run = '', env = {} } = jobs.review.steps.find((step) => step.run?.includes('keyforge.ts')) ?? {};
  const [, program = '', words = ''] = /^\.keyforge-cli\/node_modules\/\.bin\/node \.keyforge-cli\/(\S+) run (.+)$/.exec(run) ?? [];
  assert.ok(existsSync(join(root, program)), run);
  const options = parseRunOptions(words.replaceAll('.keyforge-cli', root).split(' '));
  assert.ok('command' in options, JSON.stringify(options));
  const manifests = await readRunManifests(options, env);
  assert.ok('documents' in manifests, JSON.stringify(manifests));
  const { pools } = parseManifests((await loadPaths(options.files)).documents).manifests;
  const named = pools.flatMap(({ keys }) => keys.map(({ secretRef }) => secretVariable(secretRef.name, secretRef.key)));
  assert.deepEqual(Object.keys(env).toSorted(), named.toSorted());
});

test('every invariant and decision that the source cites is in the documents', () => {
  const sources = ['core', 'proxy', 'operator', 'cli', 'test']
    .flatMap((room) => readdirSync(join(root, room), { recursive: true, encoding: 'utf8' }).map((name) => join(room, name)))
    .filter((path) => path.endsWith('.ts'))
    .map((path) => ({ path, text: read(path) }));
  const anchors = [...read('docs/architecture.md').matchAll(/<a id="i(\d)">/g)].map(([, number]) => `I${number}`);
  const decisions = readdirSync(join(root, 'docs', 'decisions')).map((name) => Number(name.slice(0, 4)));
  const unknown = sources.flatMap(({ path, text }) => [
    ...[...text.matchAll(/\bI\d\b/g)].filter(([name]) => !anchors.includes(name)).map(([name]) => `${path}: ${name}`),
    ...[...text.matchAll(/\bdecisions?[ /](\d+)/g)]
      .filter(([, number]) => !decisions.includes(Number(number)))
      .map(([name]) => `${path}: ${name}`),
    ...[...text.matchAll(/\bDESIGN \d+|\bDESIGN\.md/g)].map(([name]) => `${path}: ${name}`),
  ]);
  assert.deepEqual(unknown, []);
});
