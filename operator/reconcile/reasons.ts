import { describeProblem, type Problem, type ProblemCode, type ProblemTable, subjectOf } from '../../core/problem.ts';

/** A problem in the form of a condition: reason and message. */
export interface Explanation {
  /** CamelCase, for conditions, events and metrics. */
  readonly reason: string;
  readonly message: string;
}

/**
 * The condition of each problem. Unlike on a laptop, it suggests no name of another object, which may belong to another
 * tenant.
 */
const conditions: ProblemTable<Explanation> = {
  unreadable_file: invalidSpec,
  invalid_field: invalidSpec,
  defined_twice: invalidSpec,
  parent_not_found: (problem) => ({
    reason: 'ParentNotFound',
    message: `${subjectOf(problem)} names the parent ${problem.parent}, which does not exist; create it or correct spec.parentRef`,
  }),
  parent_not_served: (problem) => ({ reason: 'ParentNotServed', message: describeProblem(problem) }),
  parent_refuses_namespace: (problem) => ({ reason: 'ConsentMissing', message: describeProblem(problem) }),
  cycle: (problem) => ({ reason: 'ParentCycle', message: describeProblem(problem) }),
  too_deep: invalidSpec,
  pool_not_found: (problem) => {
    const what = `${subjectOf(problem)} names the pool ${problem.pool}, which does not exist`;
    return { reason: 'PoolNotFound', message: `${what}; create that ProviderPool or correct spec.pools` };
  },
  pool_not_served: (problem) => ({ reason: 'PoolNotServed', message: describeProblem(problem) }),
  pool_refuses_key: (problem) => {
    const { pool, namespace, under } = problem;
    if (under.length === 0) return { reason: 'ConsentMissing', message: describeProblem(problem) };
    const what = `${subjectOf(problem)} uses the pool ${pool}, which admits namespace ${namespace} only under keys that its spec.consumers names`;
    const advice = 'set spec.parentRef so that the key descends from one of them, or ask the owner of the pool to admit it';
    return { reason: 'ConsentMissing', message: `${what}; ${advice}` };
  },
  root_without_pool: (problem) => ({ reason: 'NoPool', message: describeProblem(problem) }),
  no_common_pool: (problem) => ({ reason: 'NoPool', message: describeProblem(problem) }),
  endpoint_missing: invalidSpec,
  credential_missing: (problem) => ({ reason: 'CredentialMissing', message: describeProblem(problem) }),
  credential_malformed: (problem) => ({ reason: 'CredentialInvalid', message: describeProblem(problem) }),
  pool_outside_namespaces: (problem) => ({ reason: 'NamespaceNotServed', message: describeProblem(problem) }),
  pool_without_credentials: (problem) => ({ reason: 'CredentialMissing', message: describeProblem(problem) }),
};

function invalidSpec(problem: Problem): Explanation {
  const { path } = problem;
  const message = describeProblem(problem);
  return { reason: 'InvalidSpec', message: path === undefined ? message : `${path}: ${message}` };
}

/** The condition of a problem. */
export function explain<C extends ProblemCode>(problem: Problem<C>): Explanation {
  return conditions[problem.code](problem);
}
