import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ProviderPool } from '../../../core/manifest/types.ts';
import { poolName } from '../../../core/names.ts';
import { poolObject, secretObject } from '../bench.fixture.ts';
import { readPool } from '../policy/read.ts';
import { chooseCredentials, poolReady } from './state.ts';

const pool = readPool(poolObject()).manifest as ProviderPool;
const last = new Map([['a', 'sk-last']]);
const source = (items: Readonly<Record<string, string>>) => new Map([['openai', secretObject('keyforge-system', 'openai', items)]]);
const states = (found: ReturnType<typeof chooseCredentials>) => found.states.map(({ state }) => state);

test('a credential comes from its source, without the white space around it', () => {
  const found = chooseCredentials(pool, source({ a: ' sk-new\n' }), last);
  assert.deepEqual([found.wanted, states(found), found.isWhole], [[{ name: 'a', value: 'sk-new' }], ['Ready'], true]);
});

test('where the source is missing, empty or no header value, the last good value stays', () => {
  for (const broken of [
    new Map([['openai', null]]),
    source({ b: 'x' }),
    source({ a: '' }),
    source({ a: 'sk one\nsk two' }),
    source({ a: 'schlüssel' }),
  ]) {
    const found = chooseCredentials(pool, broken, last);
    assert.deepEqual([found.wanted, states(found), found.isWhole], [[{ name: 'a', value: 'sk-last' }], ['Stale'], false]);
  }
});

test('Secrets of the operator and tokens of ServiceAccounts are no credentials: a pool would send them wherever its endpoint says', () => {
  const secret = secretObject('keyforge-system', 'openai', { a: 'canary' });
  const ours = { ...secret, metadata: { ...secret.metadata, labels: { 'app.kubernetes.io/managed-by': 'keyforge' } } };
  for (const kept of [ours, { ...secret, type: 'kubernetes.io/service-account-token' }]) {
    const found = chooseCredentials(pool, new Map([['openai', kept]]), new Map());
    assert.deepEqual([found.wanted, states(found)], [[], ['Invalid']]);
    assert.match(found.states[0]?.message ?? '', /Secret openai belongs to KeyForge or to a ServiceAccount.*name another Secret/);
  }
});

test('without a last good value the state says what is wrong, and never the value', () => {
  const missing = chooseCredentials(pool, source({}), new Map());
  const invalid = chooseCredentials(pool, source({ a: 'sk-secret value' }), new Map());
  assert.deepEqual([states(missing), states(invalid), invalid.wanted], [['Missing'], ['Invalid'], []]);
  assert.doesNotMatch(JSON.stringify(invalid.states), /sk-secret/);
  const verdict = {
    serving: 'nothing',
    problems: [{ code: 'pool_without_credentials' }],
  } as const;
  const ready = poolReady({ pool: poolName('keyforge-system', 'openai'), verdict, states: invalid.states, problem: null, refused: null });
  assert.equal(ready.reason, 'CredentialInvalid');
});
