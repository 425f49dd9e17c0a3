import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { providerKinds, providers, servedKinds } from '../core/manifest/providers.ts';
import { providerOf } from '../proxy/provider/table.ts';
import { generatedFiles } from '../scripts/chart.ts';

const root = join(import.meta.dirname, '..');

test('the definitions and the chart say of providers what `node scripts/chart.ts` writes', () => {
  for (const [path, text] of generatedFiles()) {
    assert.equal(readFileSync(join(root, path), 'utf8'), text, `${path}; run: node scripts/chart.ts`);
  }
});

test('the definition of ProviderPool names the providers that are served', () => {
  const definition = generatedFiles().get('crds/providerpools.yaml') ?? '';
  assert.ok(definition.includes(`enum: [${servedKinds.join(', ')}]\n`));
});

test('the proxy can call exactly the providers that are served', () => {
  assert.deepEqual(
    providerKinds.filter((kind) => providerOf(kind) !== null),
    servedKinds,
  );
  for (const kind of servedKinds) assert.equal(providerOf(kind)?.kind, kind);
});

test('docs/providers.md has each of them with its default endpoint', () => {
  const rows = [
    ...readFileSync(join(root, 'docs', 'providers.md'), 'utf8').matchAll(/^\| `([A-Z]\w+)` \| (?:`(\S+)`|none: [a-z]+ `endpoint`) \|/gm),
  ];
  assert.deepEqual(
    rows.map(([, kind, endpoint]) => [kind, endpoint ?? null]),
    servedKinds.map((kind) => [kind, providers[kind].endpoint]),
  );
});
