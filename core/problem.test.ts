import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { keyName, poolName } from './names.ts';
import { formatProblem } from './problem.ts';

describe('formatProblem', () => {
  it('names place, line, path and message, leaving out what is not known', () => {
    const message = '"5,00" is not a decimal; write "5.00"';
    assert.equal(
      formatProblem({ code: 'invalid_field', source: { file: 'team.yaml', line: 12 }, path: 'spec.limits[0].usd', message }),
      `team.yaml:12: spec.limits[0].usd: ${message}`,
    );
    assert.equal(formatProblem({ code: 'unreadable_file', source: { file: 'a.yaml' }, message: 'is no YAML' }), 'a.yaml: is no YAML');
    assert.equal(
      formatProblem({ code: 'invalid_field', source: { file: 'team.yaml' }, path: 'kind', message: 'is unknown' }),
      'team.yaml: kind: is unknown',
    );
    const object = { kind: 'VirtualKey', name: 'agents/bot' } as const;
    assert.equal(
      formatProblem({ code: 'too_deep', object, path: 'spec.parentRef', maxAncestors: 15 }),
      'spec.parentRef: VirtualKey agents/bot has more than 15 ancestors; name a parent nearer to the root',
    );
  });

  it('says why a pool that exists is not served, and which key cannot be served', () => {
    const [pool, object] = [poolName('agents', 'own'), { kind: 'VirtualKey', name: 'agents/bot' } as const];
    const why = { code: 'pool_outside_namespaces', object: { kind: 'ProviderPool', name: pool }, namespace: 'agents' } as const;
    assert.equal(
      formatProblem({ code: 'pool_not_served', object, path: 'spec.pools', pool, why }),
      "spec.pools: VirtualKey agents/bot names the pool agents/own, which is not served: namespace agents is not among the operator's --pool-namespaces",
    );
    assert.equal(
      formatProblem({ code: 'parent_not_served', object, path: 'spec.parentRef', parent: keyName('agents', 'team') }),
      'spec.parentRef: VirtualKey agents/bot descends from agents/team, which cannot be served; fix that key first',
    );
  });
});
