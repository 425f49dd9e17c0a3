import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate as settled } from 'node:timers/promises';
import type { KubeObject, ObjectPlace } from '../../kube/types.ts';
import { createFindKey } from './find-key.ts';

const bot: KubeObject = { metadata: { namespace: 'agents', name: 'bot' }, spec: { pools: [{ name: 'openai' }] } };
const found = { secretName: 'bot', sidecar: true };

/** An API server that answers when the test does, and a cache that holds `cached`. */
function world(t: TestContext, cached: readonly KubeObject[] = []) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const requests: { readonly at: ObjectPlace; readonly answer: PromiseWithResolvers<KubeObject | null> }[] = [];
  const get = (_: unknown, at: ObjectPlace): Promise<KubeObject | null> => {
    const answer = Promise.withResolvers<KubeObject | null>();
    requests.push({ at, answer });
    return answer.promise;
  };
  const keys = { get: ({ name }: ObjectPlace) => cached.find(({ metadata }) => metadata.name === name) };
  return { requests, findKey: createFindKey({ get }, keys), tick: (ms: number) => t.mock.timers.tick(ms) };
}

test('a key that the cache knows costs no look-up', async (t) => {
  const { findKey, requests } = world(t, [bot]);
  assert.deepEqual(await findKey('agents', 'bot'), found);
  assert.equal(requests.length, 0);
});

test('one key that many Pods name at once is looked up once', async (t) => {
  const { findKey, requests } = world(t);
  const answers = Array.from({ length: 50 }, () => findKey('agents', 'bot'));
  requests[0]?.answer.resolve(bot);
  assert.deepEqual(new Set((await Promise.all(answers)).map((each) => each?.secretName)), new Set(['bot']));
  assert.deepEqual(
    requests.map(({ at }) => at),
    [{ namespace: 'agents', name: 'bot' }],
  );
});

test('beyond the bound a look-up is refused at once, and one that ended makes room', async (t) => {
  const { findKey, requests } = world(t);
  const [first] = [findKey('agents', 'a'), findKey('agents', 'b')];
  await assert.rejects(findKey('agents', 'bot'), /too many look-ups of VirtualKeys/);
  requests[0]?.answer.reject(new Error('reset'));
  await assert.rejects(first, /reset/);
  const later = findKey('agents', 'bot');
  requests[2]?.answer.resolve(bot);
  assert.deepEqual(await later, found);
});

test('what is not there is remembered for a second, and what failed is requested again', async (t) => {
  const { findKey, requests, tick } = world(t);
  const missing = findKey('agents', 'bot');
  requests[0]?.answer.resolve(null);
  assert.equal(await missing, null);
  assert.equal(await findKey('agents', 'bot'), null);
  assert.equal(requests.length, 1);
  tick(1_000);
  const failing = findKey('agents', 'bot');
  requests[1]?.answer.reject(new Error('reset'));
  await assert.rejects(failing, /reset/);
  const again = findKey('agents', 'bot');
  requests[2]?.answer.resolve(bot);
  assert.deepEqual(await again, found);
});

test('an answer that is late is not waited for, and keeps its place until it comes', async (t) => {
  const { findKey, requests, tick } = world(t);
  const late = [findKey('agents', 'a'), findKey('agents', 'b')];
  tick(2_000);
  for (const each of late) await assert.rejects(each, /did not answer within 2000 ms/);
  await assert.rejects(findKey('agents', 'a'), /did not answer/);
  await assert.rejects(findKey('agents', 'bot'), /too many/);
  requests[0]?.answer.resolve(null);
  await settled();
  const next = findKey('agents', 'bot');
  requests[2]?.answer.resolve(bot);
  assert.deepEqual(await next, found);
});
