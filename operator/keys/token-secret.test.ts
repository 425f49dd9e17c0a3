import assert from 'node:assert/strict';
import { test } from 'node:test';
import { secretObject } from '../reconcile/bench.fixture.ts';
import { holds } from './token-secret.ts';

const wanted = secretObject('agents', 'bot', { 'api-key': 'one', 'policy.json': '{}' });

test('a Secret holds what it should whatever items others add to it', () => {
  assert.equal(holds(secretObject('agents', 'bot', { 'api-key': 'one', 'policy.json': '{}', theirs: 'x' }), wanted), true);
});

test('a Secret without an item of ours, or with another value in it, does not', () => {
  assert.equal(holds(secretObject('agents', 'bot', { 'api-key': 'one' }), wanted), false);
  assert.equal(holds(secretObject('agents', 'bot', { 'api-key': 'two', 'policy.json': '{}' }), wanted), false);
  assert.equal(holds({ metadata: { name: 'bot' } }, wanted), false);
  assert.equal(holds(null, wanted), false);
});
