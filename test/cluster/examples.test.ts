import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { parseManifests } from '../../core/manifest/parse.ts';
import { readYaml } from '../../operator/files/yaml.ts';
import { canRunControlPlane } from './build.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';

const machine = canRunControlPlane();
const folder = join(import.meta.dirname, '..', '..', 'examples', 'kubernetes');
const files = readdirSync(folder);

describe('the examples', { skip: machine.ok ? false : machine.why }, () => {
  let plane: ControlPlane;

  before(async () => {
    plane = await startControlPlane();
    for (const name of ['virtualkeys', 'providerpools']) {
      await plane.apply(readFileSync(join(folder, '..', '..', 'crds', `${name}.yaml`), 'utf8'));
    }
    for (const name of ['keyforge-system', 'agents', 'platform']) await plane.createNamespace(name);
  });
  after(() => plane?.close());

  for (const file of files) {
    const text = readFileSync(join(folder, file), 'utf8');

    test(`${file} is taken by the API server`, () => plane.apply(text));

    test(`${file} is read by keyforge up in the same way`, () => {
      const ours = ['Namespace', 'ProviderPool', 'VirtualKey'];
      const documents = parseAllDocuments(text).filter((document) => ours.includes(String(document.get('kind'))));
      const read = readYaml(file, documents.map(String).join('---\n'));
      assert.deepEqual([...read.problems, ...parseManifests(read.documents).problems], []);
    });
  }
});
