import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseManifests } from '../../core/manifest/parse.ts';
import { keyName, type PoolName, poolName } from '../../core/names.ts';
import { compile } from '../../core/policy/compile.ts';
import type { PoolFault, Problem, ProblemCode } from '../../core/problem.ts';
import { keyObject, poolObject } from './bench.fixture.ts';
import { withPoolFault } from './policy/adoption.ts';
import { explain } from './reasons.ts';

const agentsOnly = [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'agents' } } }];

/** Core's problems of a key, beside a few keys and a pool that admits only namespace `agents` by default. */
function conditionsOf(
  spec: object,
  faults: ReadonlyMap<PoolName, PoolFault> = new Map(),
  consumers: readonly object[] = agentsOnly,
): readonly string[] {
  const pool = poolObject({ consumers });
  const pools = [{ name: 'openai', namespace: 'keyforge-system' }];
  const others = [keyObject('agents', 'parent', { pools }), keyObject('agents', 'closed', { pools })];
  const objects = [pool, ...others, keyObject('elsewhere', 'bot', spec)];
  const documents = objects.map((value) => ({ file: `of ${value.metadata.name}`, line: 1, value, lineOf: () => undefined }));
  const parsed = parseManifests(documents);
  const { problems } = compile({
    manifests: parsed.manifests,
    createdAtMs: () => 0,
    children: [],
    isServed: () => false,
    book: () => [],
    learned: () => ({}),
    digest: () => 'sha256:0',
  });
  const own = [...parsed.problems, ...problems].filter(({ source }) => source?.file === 'of bot');
  return own.map((problem) => explain(withPoolFault(problem, faults))).map(({ reason, message }) => `${reason}: ${message}`);
}

test('every problem that core finds of a key in a cluster has its reason', () => {
  const reasons = (spec: object) => conditionsOf(spec).map((line) => line.split(':')[0]);
  const open = [{ name: 'openai', namespace: 'keyforge-system' }];
  assert.deepEqual(reasons({ pools: open }), ['ConsentMissing']);
  assert.deepEqual(reasons({ pools: [{ name: 'nothing' }] }), ['PoolNotFound']);
  assert.deepEqual(reasons({}), ['NoPool']);
  assert.deepEqual(reasons({ parentRef: { name: 'nobody', namespace: 'agents' } }).at(0), 'ParentNotFound');
  assert.deepEqual(reasons({ parentRef: { name: 'parent', namespace: 'agents' }, pools: open }).at(0), 'ConsentMissing');
  assert.deepEqual(reasons({ parentRef: { name: 'bot' } }).at(0), 'ParentCycle');
  assert.deepEqual(reasons({ pools: open, limits: [{ window: 'Never', usd: '1' }] }).at(0), 'InvalidSpec');
});

test('names of other objects are not suggested: they may be those of another tenant', () => {
  assert.deepEqual(
    conditionsOf({ parentRef: { name: 'parentt', namespace: 'agents' }, pools: [] }).filter((line) => /did you mean agents/.test(line)),
    [],
  );
  assert.match(
    conditionsOf({ pools: [{ name: 'openaii', namespace: 'keyforge-system' }] }).join(),
    /openaii, which does not exist; create that/,
  );
});

test('a pool that exists and is not served is reported with the reason', () => {
  const faults = new Map([[poolName('elsewhere', 'own'), { code: 'pool_without_credentials' } as const]]);
  assert.match(
    conditionsOf({ pools: [{ name: 'own' }] }, faults).join(),
    /^PoolNotServed: .*which is not served: none of its credentials is usable/,
  );
});

test('a pool that is meant for the keys of teams does not reveal what those keys are called', () => {
  const consumers = ['red', 'blue'].map((name) => ({ namespaceSelector: {}, under: { name, namespace: 'platform' } }));
  const said = conditionsOf({ pools: [{ name: 'openai', namespace: 'keyforge-system' }] }, undefined, consumers).join();
  assert.doesNotMatch(said, /platform|red|blue/);
  assert.match(
    said,
    /^ConsentMissing: VirtualKey elsewhere\/bot uses the pool keyforge-system\/openai, which admits namespace elsewhere only under/,
  );
  assert.match(said, /ask the owner of the pool/);
});

/** One problem of each code, in which every name that its reader did not write is `theirs`. */
const examples: { readonly [C in ProblemCode]: Problem<C> } = {
  unreadable_file: { code: 'unreadable_file', message: 'no such file' },
  invalid_field: { code: 'invalid_field', ...at('spec.ttl'), message: 'ttl must be longer than 0s' },
  defined_twice: { code: 'defined_twice', ...at('spec'), first: { file: 'a.yaml', line: 1 } },
  parent_not_found: { code: 'parent_not_found', ...at('spec.parentRef'), parent: keyName('a', 'b'), nearest: keyName('theirs', 'b') },
  parent_not_served: { code: 'parent_not_served', ...at('spec.parentRef'), parent: keyName('a', 'b') },
  parent_refuses_namespace: { code: 'parent_refuses_namespace', ...at('spec.parentRef'), parent: keyName('a', 'b'), namespace: 'agents' },
  cycle: { code: 'cycle', ...at('spec.parentRef'), keys: [keyName('agents', 'bot'), keyName('agents', 'bot')] },
  too_deep: { code: 'too_deep', ...at('spec.parentRef'), maxAncestors: 15 },
  pool_not_found: {
    code: 'pool_not_found',
    ...at('spec.pools'),
    pool: poolName('a', 'p'),
    nearest: poolName('theirs', 'p'),
    known: [poolName('theirs', 'q')],
  },
  pool_not_served: { code: 'pool_not_served', ...at('spec.pools'), pool: poolName('a', 'p'), why: { code: 'pool_without_credentials' } },
  pool_refuses_key: {
    code: 'pool_refuses_key',
    ...at('spec.pools'),
    pool: poolName('a', 'p'),
    namespace: 'agents',
    under: [keyName('theirs', 'team')],
  },
  root_without_pool: { code: 'root_without_pool', ...at('spec.pools') },
  no_common_pool: { code: 'no_common_pool', ...at('spec.pools') },
  endpoint_missing: { code: 'endpoint_missing', ...at('spec.endpoint'), provider: 'OpenAICompatible' },
  credential_missing: { code: 'credential_missing', ...at('spec.keys[0]'), key: 'a', secret: 'a/s', item: 'k', variable: 'X' },
  credential_malformed: { code: 'credential_malformed', ...at('spec.keys[0]'), key: 'a' },
  pool_outside_namespaces: { code: 'pool_outside_namespaces', namespace: 'a' },
  pool_without_credentials: { code: 'pool_without_credentials' },
};

function at(path: string) {
  return { object: { kind: 'VirtualKey', name: 'agents/bot' }, path } as const;
}

test('every code has its reason, and no sentence of a condition carries another tenant’s names', () => {
  const said = Object.values<Problem>(examples).map((problem): [string, string] => [problem.code, explain(problem).reason]);
  assert.deepEqual(Object.fromEntries(said), {
    unreadable_file: 'InvalidSpec',
    invalid_field: 'InvalidSpec',
    defined_twice: 'InvalidSpec',
    parent_not_found: 'ParentNotFound',
    parent_not_served: 'ParentNotServed',
    parent_refuses_namespace: 'ConsentMissing',
    cycle: 'ParentCycle',
    too_deep: 'InvalidSpec',
    pool_not_found: 'PoolNotFound',
    pool_not_served: 'PoolNotServed',
    pool_refuses_key: 'ConsentMissing',
    root_without_pool: 'NoPool',
    no_common_pool: 'NoPool',
    endpoint_missing: 'InvalidSpec',
    credential_missing: 'CredentialMissing',
    credential_malformed: 'CredentialInvalid',
    pool_outside_namespaces: 'NamespaceNotServed',
    pool_without_credentials: 'CredentialMissing',
  });
  for (const problem of Object.values<Problem>(examples)) assert.doesNotMatch(explain(problem).message, /theirs/);
});
