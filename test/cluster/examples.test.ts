import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
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
    test(`${file} is taken by the API server`, () => plane.apply(readFileSync(join(folder, file), 'utf8')));
  }
});
