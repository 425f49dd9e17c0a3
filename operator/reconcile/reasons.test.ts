import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseManifests } from '../../core/manifest/parse.ts';
import { type PoolName, poolName } from '../../core/names.ts';
import { compile } from '../../core/policy/compile.ts';
import type { PoolFault } from '../../core/problem.ts';
import { keyObject, poolObject } from './bench.fixture.ts';
import { explained } from './policy/adoption.ts';
import { tell } from './reasons.ts';

const agentsOnly = [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'agents' } } }];

/** What core itself says of a key beside a pool that admits namespace `agents` only, unless told otherwise, and a few keys. */
function told(
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
    stands: () => false,
    book: () => [],
    digest: () => 'sha256:0',
  });
  const own = [...parsed.problems, ...problems].filter(({ source }) => source?.file === 'of bot');
  return own.map((problem) => tell(explained(problem, faults))).map(({ reason, message }) => `${reason}: ${message}`);
}

test('every problem that core finds of a key in a cluster has its reason', () => {
  const reasons = (spec: object) => told(spec).map((line) => line.split(':')[0]);
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
    told({ parentRef: { name: 'parentt', namespace: 'agents' }, pools: [] }).filter((line) => /did you mean agents/.test(line)),
    [],
  );
  assert.match(told({ pools: [{ name: 'openaii', namespace: 'keyforge-system' }] }).join(), /openaii, which does not exist; create that/);
});

test('a pool that exists and is not served is told with the reason', () => {
  const faults = new Map([[poolName('elsewhere', 'own'), { code: 'pool_without_credentials' } as const]]);
  assert.match(
    told({ pools: [{ name: 'own' }] }, faults).join(),
    /^PoolNotServed: .*which is not served: none of its credentials is usable/,
  );
});

test('a pool that is meant for the keys of teams tells nobody who asks what those keys are called', () => {
  const consumers = ['red', 'blue'].map((name) => ({ namespaceSelector: {}, under: { name, namespace: 'platform' } }));
  const said = told({ pools: [{ name: 'openai', namespace: 'keyforge-system' }] }, undefined, consumers).join();
  assert.doesNotMatch(said, /platform|red|blue/);
  assert.match(
    said,
    /^ConsentMissing: VirtualKey elsewhere\/bot uses the pool keyforge-system\/openai, which admits namespace elsewhere only under/,
  );
  assert.match(said, /ask who owns the pool/);
});
