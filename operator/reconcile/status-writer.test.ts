import assert from 'node:assert/strict';
import { test } from 'node:test';
import { virtualKeys } from '../kube/resources.ts';
import { keyObject } from './bench.fixture.ts';
import { createFakeKube } from './fake-kube.fixture.ts';
import { createStatusWriter, statusOf } from './status-writer.ts';

test('what was written is known before the cache has it, over several writes, and only a difference is written', async () => {
  const kube = createFakeKube();
  const cached = kube.put(virtualKeys, keyObject('agents', 'bot', {}));
  const writer = createStatusWriter(kube.client, virtualKeys, ['spent']);
  assert.equal(await writer.write(cached, { spent: '1' }), true);
  assert.equal(await writer.write(cached, { spent: '1' }), false);
  assert.equal(await writer.write(writer.latest(cached), { spent: '2' }), true);
  assert.equal(statusOf(writer.latest(cached))['spent'], '2');
  assert.equal(await writer.write(cached, { spent: '2' }), false);
  const fresh = kube.read(virtualKeys, { namespace: 'agents', name: 'bot' });
  assert.ok(fresh !== undefined && writer.isOwn(fresh) && !writer.isOwn(cached));
});

test('what somebody else wrote into the status is noticed once the cache has it', async () => {
  const kube = createFakeKube();
  const cached = kube.put(virtualKeys, keyObject('agents', 'bot', {}));
  const writer = createStatusWriter(kube.client, virtualKeys, ['spent']);
  await writer.write(cached, { spent: '1' });
  const meddled = kube.put(virtualKeys, { ...cached, status: { spent: '0' } });
  assert.equal(await writer.write(meddled, { spent: '1' }), true);
});

test('what was decided for one life of an object is not written to the next', async () => {
  const kube = createFakeKube();
  const cached = kube.put(virtualKeys, keyObject('agents', 'bot', {}));
  kube.drop(virtualKeys, { namespace: 'agents', name: 'bot' });
  kube.put(virtualKeys, keyObject('agents', 'bot', {}));
  await assert.rejects(createStatusWriter(kube.client, virtualKeys, ['spent']).write(cached, { spent: '1' }), /Conflict/);
});
