import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { virtualKeys } from '../../kube/resources.ts';
import { rotateAnnotation } from '../../labels.ts';
import { keyObject } from '../bench.fixture.ts';
import { createFakeKube } from '../fake-kube.fixture.ts';
import { createCaches } from './caches.ts';

test('of an object’s annotations only ours are kept', async (t) => {
  const kube = createFakeKube();
  const object = keyObject('agents', 'bot', {});
  const annotations = { [rotateAnnotation]: '1', 'kubectl.kubernetes.io/last-applied-configuration': 'x'.repeat(200_000) };
  kube.put(virtualKeys, { ...object, metadata: { ...object.metadata, annotations } });
  const ignore = (): void => {};
  const caches = createCaches({
    client: kube.client,
    namespace: 'keyforge-system',
    poolNamespaces: [],
    logger: pino({ level: 'silent' }),
    onKey: ignore,
    onPool: ignore,
    onNamespace: ignore,
    onVault: ignore,
    onSecret: ignore,
  });
  t.after(() => caches.close());
  caches.start();
  await caches.synced;
  const kept = caches.keys.get({ namespace: 'agents', name: 'bot' });
  assert.deepEqual(kept?.metadata.annotations, { [rotateAnnotation]: '1' });
  assert.deepEqual(kept?.['spec'], object['spec']);
});
