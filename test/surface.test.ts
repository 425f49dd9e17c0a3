import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explore } from './surface/explore.ts';

// `npm run fuzz -- MINUTES SEED` searches for longer.
const seed = Number(process.env['KEYFORGE_FUZZ_SEED'] ?? Date.now() % 2 ** 31);

test(`no request and no answer near the real ones makes a crash, a hang, a leak or a wrong bill (seed ${seed})`, async (context) => {
  const found = await explore({ ms: 45_000, seed });
  context.diagnostic(JSON.stringify(found));
  assert.ok(found.reached > 0 && found.measured > 0, JSON.stringify(found));
});
