import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PlainSecret, ProviderPool } from '../../core/manifest/types.ts';
import { poolName } from '../../core/names.ts';
import { formatProblem } from '../../core/problem.ts';
import { findCredentials, secretVariable } from './credentials.ts';

const origin = { file: 'pool.yaml', line: 3 };
const pool: ProviderPool = {
  kind: 'ProviderPool',
  name: poolName('platform', 'openai'),
  origin,
  provider: 'OpenAI',
  keys: [{ name: 'a', secretRef: { name: 'open-ai', key: 'proj.a' }, quotaScope: 'a' }],
  consumers: [],
  models: [],
  freeFields: [],
};
const secret = (name: string, value: string): PlainSecret => ({ kind: 'Secret', name, origin, data: { 'proj.a': value } });

function find(secrets: readonly PlainSecret[], environment: Readonly<Record<string, string>> = {}) {
  return findCredentials({ pools: [pool], secrets }, environment);
}

test('the variable of a Secret’s item is upper case, with _ for - and .', () => {
  assert.equal(secretVariable('open-ai', 'proj.a'), 'KEYFORGE_SECRET_OPEN_AI_PROJ_A');
});

test('a Secret among the manifests comes before the environment, and only in the pool’s own namespace', () => {
  const environment = { KEYFORGE_SECRET_OPEN_AI_PROJ_A: 'sk-environment' };
  assert.equal(find([secret('platform/open-ai', 'sk-manifest\n')], environment).credentials[0]?.value, 'sk-manifest');
  assert.equal(find([secret('agents/open-ai', 'sk-other')], environment).credentials[0]?.value, 'sk-environment');
});

test('a missing value is a problem that names both ways to give it', () => {
  const { credentials, problems } = find([], { KEYFORGE_SECRET_OPEN_AI_PROJ_A: '' });
  assert.deepEqual(credentials, []);
  assert.equal(problems[0]?.source?.file, 'pool.yaml');
  assert.match(problems.map(formatProblem).join(), /Secret platform\/open-ai with the item proj\.a .* KEYFORGE_SECRET_OPEN_AI_PROJ_A/);
});

test('a value that no header can carry is a problem that does not show it', () => {
  const { problems } = find([secret('platform/open-ai', 'sk-canary\nsecond line')]);
  assert.equal(problems.length, 1);
  assert.doesNotMatch(JSON.stringify(problems), /canary/);
});
