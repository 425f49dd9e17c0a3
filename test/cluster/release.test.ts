import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canRunPods } from './cluster.ts';
import { importedImages, type ReleaseCluster, startReleaseCluster } from './release.ts';

const machine = await canRunPods();

test('a release on a real node', { skip: machine.ok ? false : machine.why, timeout: 900_000 }, async (t) => {
  let release: ReleaseCluster;

  t.before(
    async () => {
      release = await startReleaseCluster();
    },
    { timeout: 600_000 },
  );
  t.after(() => release?.cluster.close());

  await t.test('operator and gateway get ready, from the images that were built here', async () => {
    const { operator, proxy } = importedImages(release.images);
    await release.install({ operator: { ...operator, persistence: { enabled: false } }, proxy, gateway: { enabled: true } });
  });

  await t.test('helm test finds the operator, with a certificate that proxies trust', async () => {
    assert.match(await release.helm('test', 'keyforge', '--timeout', '180s'), /Phase:\s+Succeeded/);
  });
});
