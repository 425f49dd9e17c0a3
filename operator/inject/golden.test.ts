import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { inject } from './inject.ts';
import { key, patched, settings } from './pod.fixture.ts';
import { viewOf } from './pod-view.ts';
import type { Pod } from './types.ts';

const folder = join(import.meta.dirname, 'testdata');

// After a wanted change: node --test --test-update-snapshots operator/inject/golden.test.ts, and read the diff.
for (const file of readdirSync(folder).filter((name) => name.endsWith('.yaml'))) {
  test(`the outcome for testdata/${file} is as recorded, and a second review changes nothing`, (t) => {
    const pod: Pod = parse(readFileSync(join(folder, file), 'utf8'));
    const injection = inject(viewOf(pod), 'agents', key, settings);
    const serializers = [(value: unknown) => `${JSON.stringify(value, null, 2)}\n`];
    t.assert.fileSnapshot(injection, join(folder, file.replace('.yaml', '.golden')), { serializers });
    if (injection.kind !== 'patch') return;
    const again = inject(viewOf(patched(pod, injection.patch)), 'agents', key, settings);
    assert.equal(again.kind === 'skip' && again.reason, 'AlreadyInjected');
  });
}
