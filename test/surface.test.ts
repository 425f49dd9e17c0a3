import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explore } from './surface/explore.ts';

// `npm run fuzz -- MINUTES SEED` searches for longer, and from another seed each time.
test('no request and no answer near the real ones makes a crash, a hang, a leak or a wrong bill', async (context) => {
  const found = await explore({ ms: 45_000, seed: 1 });
  context.diagnostic(JSON.stringify(found));
  assert.ok(found.reached > 0 && found.measured > 0, JSON.stringify(found));
});
