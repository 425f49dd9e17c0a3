import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '../kube/types.ts';
import { bundlePatch } from './publish.ts';

const pem = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n';
const bundle = Buffer.from(pem).toString('base64');

function configuration(bundles: readonly (string | undefined)[]): KubeObject {
  const webhooks = bundles.map((caBundle, i) => ({ name: `w${i}.keyforge.dev`, clientConfig: { ...(caBundle && { caBundle }) } }));
  return { metadata: { name: 'keyforge' }, webhooks };
}

test('every webhook without the bundle gets it, guarded by its name', () => {
  assert.deepEqual(bundlePatch(configuration([bundle, undefined, 'b2xk']), pem), [
    { op: 'test', path: '/webhooks/1/name', value: 'w1.keyforge.dev' },
    { op: 'add', path: '/webhooks/1/clientConfig/caBundle', value: bundle },
    { op: 'test', path: '/webhooks/2/name', value: 'w2.keyforge.dev' },
    { op: 'add', path: '/webhooks/2/clientConfig/caBundle', value: bundle },
  ]);
});

test('nothing is written where all webhooks have it, or there are none', () => {
  assert.deepEqual(bundlePatch(configuration([bundle, bundle]), pem), []);
  assert.deepEqual(bundlePatch({ metadata: { name: 'keyforge' } }, pem), []);
});
