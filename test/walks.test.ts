import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { refusalTable } from '../core/errors.ts';
import { servedKinds } from '../core/manifest/providers.ts';

const root = join(import.meta.dirname, '..');
const contributing = readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8');

interface File {
  readonly path: string;
  readonly text: string;
}

function files(isTest: boolean): readonly File[] {
  return ['core', 'proxy', 'operator', 'cli', ...(isTest ? ['test'] : [])]
    .flatMap((room) => readdirSync(join(root, room), { recursive: true, encoding: 'utf8' }).map((name) => join(room, name)))
    .filter((path) => path.endsWith('.ts') && /\.test\.ts$|^test\/|fixture|conformance/.test(path) === isTest)
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
}

/** The steps of one of CONTRIBUTING's walks, each with the first file that it names; null where it names none. */
function walk(title: string): readonly (string | null)[] {
  const section = new RegExp(`^\\*\\*${title}(.*?)(?=^\\*\\*|^## )`, 'ms').exec(contributing)?.[1] ?? '';
  return [...section.matchAll(/^\d+\. (.*(?:\n {3}.*)*)/gm)].map(([, step = '']) => /`([\w./-]+\/[\w./-]+)`/.exec(step)?.[1] ?? null);
}

test('the walks of CONTRIBUTING name files that are there, in as many steps as promised', () => {
  const walks = { 'An error code': 4, 'A provider that speaks a known dialect': 4, 'A field of VirtualKey': 8 };
  for (const [title, max] of Object.entries(walks)) {
    const steps = walk(title);
    assert.ok(steps.length > 0 && steps.length <= max, `${title}: ${steps.length} steps`);
    const missing = steps.filter((path) => path !== null && !path.includes('NAME') && !existsSync(join(root, path)));
    assert.deepEqual(missing, [], title);
  }
});

test('a provider is named in the places of its walk alone', () => {
  const steps = walk('A provider that speaks a known dialect');
  // The first three have clients and a price book of their own, and are what unprefixed routes and examples mean.
  for (const kind of servedKinds.slice(3)) {
    const named = files(false).filter(({ text }) => new RegExp(`['"]${kind}['"]|^\\s*${kind}:`, 'm').test(text));
    const rooms = ['proxy/provider/', 'operator/prices/facts/'];
    const elsewhere = named.map(({ path }) => path).filter((path) => !steps.includes(path) && !rooms.some((room) => path.startsWith(room)));
    assert.deepEqual(elsewhere, [], kind);
  }
});

test('the defaults of a VirtualKey are written out in one place', () => {
  const defaults = files(false).filter(({ text }) => /^\s*issueToken: true,$/m.test(text));
  assert.deepEqual(
    defaults.map(({ path }) => path),
    ['core/manifest/types.ts'],
  );
});

test('every refusal code is produced by a test', () => {
  const tests = files(true).filter(({ path }) => !/errors\.test|stable-names|walks\.test/.test(path));
  const untested = Object.keys(refusalTable).filter((code) => !tests.some(({ text }) => text.includes(`'${code}'`)));
  assert.deepEqual(untested, []);
});
