import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  childKeyName,
  childPartOf,
  epochId,
  isKeyName,
  keyName,
  keyOfStream,
  namespaceOf,
  objectId,
  objectRef,
  partsOf,
  poolName,
  streamId,
  tokenId,
} from './names.ts';

const bot = keyName('agents', 'bot');

test('a name and its parts are one and the same', () => {
  assert.equal(bot, 'agents/bot');
  assert.deepEqual(partsOf(bot), { namespace: 'agents', name: 'bot' });
  assert.deepEqual(partsOf(poolName('platform', 'openai')), { namespace: 'platform', name: 'openai' });
  assert.equal(namespaceOf(bot), 'agents');
});

test('the name of a key below another one keeps its namespace', () => {
  const child = childKeyName(bot, 'scout');
  assert.equal(child, 'agents/bot.scout');
  assert.equal(childPartOf(child), 'scout');
  assert.equal(namespaceOf(child), 'agents');
});

test('the parts of a stream are those it was made of, and its epochs differ', () => {
  const stream = streamId(childKeyName(bot, 'scout'), 'pod-1.a_b');
  assert.equal(stream, 'agents/bot.scout@pod-1.a_b');
  assert.equal(keyOfStream(stream), 'agents/bot.scout');
  assert.notEqual(epochId({ stream, epoch: 12 }), epochId({ stream, epoch: 1 }));
});

test('an object is taken apart as it was named', () => {
  const object = { kind: 'VirtualKey', name: 'agents/bot' } as const;
  assert.equal(objectId(object), 'VirtualKey agents/bot');
  assert.deepEqual(objectRef(objectId(object)), object);
});

test('text that cannot be the name of a key is recognised', () => {
  for (const text of ['agents/bot', 'agents/bot.run-0123456789abcdef']) assert.ok(isKeyName(text), text);
  for (const text of ['operator', 'agents/bot@pod', 'Agents/bot', '/bot', 'agents/', 'a/b/c']) assert.ok(!isKeyName(text), text);
});

test('a token is known by its SHA-256', () => {
  assert.equal(tokenId('abc'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});
