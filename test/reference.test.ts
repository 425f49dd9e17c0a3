import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { currentReference } from '../scripts/reference.ts';

const root = join(import.meta.dirname, '..');

/** Paths of fields that say nothing of themselves. */
function undescribed(schema: Record<string, unknown>, path: string): readonly string[] {
  const properties = Object.entries((schema['properties'] ?? {}) as Record<string, Record<string, unknown>>);
  return [
    ...properties.flatMap(([name, field]) => [
      ...(field['description'] === undefined ? [`${path}.${name}`] : []),
      ...undescribed(field, `${path}.${name}`),
    ]),
    ...(schema['items'] === undefined ? [] : undescribed(schema['items'] as Record<string, unknown>, `${path}[]`)),
  ];
}

describe('docs/reference.md', () => {
  it('is what `node scripts/reference.ts` makes of crds/', () => {
    assert.equal(readFileSync(join(root, 'docs', 'reference.md'), 'utf8'), currentReference(), 'run: node scripts/reference.ts');
  });

  it('explains every field', () => {
    for (const file of ['virtualkeys.yaml', 'providerpools.yaml']) {
      const { openAPIV3Schema } = parse(readFileSync(join(root, 'crds', file), 'utf8')).spec.versions[0].schema;
      const { spec, status } = openAPIV3Schema.properties;
      assert.deepEqual([...undescribed(spec, 'spec'), ...undescribed(status, 'status')], []);
    }
  });
});
