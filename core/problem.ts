import type { ProviderKind } from './manifest/providers.ts';
import { type KeyName, type ObjectRef, objectId, type PoolName } from './names.ts';
import { selectorFor } from './policy/selector.ts';

/** Where in a file a person wrote something. */
interface Source {
  readonly file: string;
  /** 1-based; absent: the file as a whole. */
  readonly line?: number;
}

/** The subject of a problem. */
interface Subject {
  /** Absent if the text names none: the file is not YAML, or the document has no kind. */
  readonly object?: ObjectRef;
  /** JSON path within the object, e.g. `spec.limits[0].usd`. */
  readonly path?: string;
  /** Only of manifests that come from a file. */
  readonly source?: Source;
}

/** Why a pool that exists is not served. */
export type PoolFault = Problem<'pool_outside_namespaces' | 'pool_without_credentials'>;

/** By code: the fields of a problem beside its subject. */
interface Faults {
  readonly unreadable_file: { readonly message: string };
  /** The message never repeats what may be a credential. */
  readonly invalid_field: { readonly message: string };
  readonly defined_twice: { readonly first: Source };
  readonly parent_not_found: { readonly parent: KeyName; readonly nearest: KeyName | null };
  readonly parent_not_served: { readonly parent: KeyName };
  readonly parent_refuses_namespace: { readonly parent: KeyName; readonly namespace: string };
  /** The keys in order, with the first key again at the end. */
  readonly cycle: { readonly keys: readonly KeyName[] };
  readonly too_deep: { readonly maxAncestors: number };
  /** `known`: the first ten. */
  readonly pool_not_found: { readonly pool: PoolName; readonly nearest: PoolName | null; readonly known: readonly PoolName[] };
  readonly pool_not_served: { readonly pool: PoolName; readonly why: PoolFault };
  /** `under`: the pool admits keys of this namespace only below these keys; empty: it does not admit the namespace. */
  readonly pool_refuses_key: { readonly pool: PoolName; readonly namespace: string; readonly under: readonly KeyName[] };
  readonly root_without_pool: object;
  readonly no_common_pool: object;
  readonly endpoint_missing: { readonly provider: ProviderKind };
  /** `secret`: `namespace/name`; `variable`: the environment variable that may hold the value instead. */
  readonly credential_missing: { readonly key: string; readonly secret: string; readonly item: string; readonly variable: string };
  readonly credential_malformed: { readonly key: string };
  readonly pool_outside_namespaces: { readonly namespace: string };
  readonly pool_without_credentials: object;
}

/** The kind of a problem. Code decides by this, never by a sentence. */
export type ProblemCode = keyof Faults;

/** A problem in what a person wrote. It is a value, reported with all others and never thrown. A renderer makes the sentence. */
export type Problem<C extends ProblemCode = ProblemCode> = { [K in C]: { readonly code: K } & Faults[K] & Subject }[C];

/** True if a pool is not served for a reason outside its manifest. */
export function isPoolFault(problem: Problem): problem is PoolFault {
  return problem.code === 'pool_outside_namespaces' || problem.code === 'pool_without_credentials';
}

/** By code: how a problem is rendered. */
export type ProblemTable<T> = { readonly [C in ProblemCode]: (problem: Problem<C>) => T };

const sentences: ProblemTable<string> = {
  unreadable_file: ({ message }) => message,
  invalid_field: ({ message }) => message,
  defined_twice: (problem) => `${subjectOf(problem)} is defined twice; the first is at ${formatSource(problem.first)}`,
  parent_not_found: (problem) => {
    const { parent, nearest } = problem;
    const advice = nearest === null ? 'create that VirtualKey or remove parentRef' : `did you mean ${nearest}?`;
    return `${subjectOf(problem)} names the parent ${parent}, which does not exist; ${advice}`;
  },
  parent_not_served: (problem) => `${subjectOf(problem)} descends from ${problem.parent}, which cannot be served; fix that key first`,
  parent_refuses_namespace: (problem) => {
    const { parent, namespace } = problem;
    const advice = `set spec.children there, for example to ${selectorFor(namespace)}`;
    return `${subjectOf(problem)} may not name the parent ${parent}, which accepts no children from namespace ${namespace}; ${advice}`;
  },
  cycle: (problem) => `${subjectOf(problem)} is its own ancestor: ${problem.keys.join(' → ')}; cut one parentRef`,
  too_deep: (problem) => `${subjectOf(problem)} has more than ${problem.maxAncestors} ancestors; name a parent nearer to the root`,
  pool_not_found: (problem) => {
    const { pool, nearest, known } = problem;
    const others = known.length === 0 ? 'no ProviderPool is defined' : `known: ${known.join(', ')}`;
    return `${subjectOf(problem)} names the pool ${pool}, which does not exist; ${nearest === null ? others : `did you mean ${nearest}?`}`;
  },
  pool_not_served: (problem) =>
    `${subjectOf(problem)} names the pool ${problem.pool}, which is not served: ${describeProblem(problem.why)}`,
  pool_refuses_key: (problem) => {
    const { pool, namespace, under } = problem;
    const advice = `add to the pool's spec.consumers: ${selectorFor(namespace)}`;
    const uses = `${subjectOf(problem)} uses the pool ${pool}`;
    if (under.length === 0) return `${uses}, which does not admit it; ${advice}`;
    const ancestors = `which admits namespace ${namespace} only under ${under.join(' or ')}`;
    return `${uses}, ${ancestors}; set parentRef so that the key descends from there, or ${advice}`;
  },
  root_without_pool: (problem) => `${subjectOf(problem)} has no parent to inherit pools from; name at least one in spec.pools`,
  no_common_pool: (problem) => {
    const advice = 'no pool is in every list on its path; name one that its ancestors name too';
    return `${subjectOf(problem)} has no pool: ${advice}`;
  },
  endpoint_missing: (problem) => `${subjectOf(problem)} needs an endpoint: ${problem.provider} has no default`,
  credential_missing: (problem) => {
    const { key, secret, item, variable } = problem;
    const advice = `give a Secret ${secret} with the item ${item} among the manifests, or set ${variable} in the environment`;
    return `${subjectOf(problem)} key ${key} has no value: ${advice}`;
  },
  credential_malformed: (problem) => {
    const what = `${subjectOf(problem)} key ${problem.key} has a value that no HTTP header can carry`;
    return `${what}; paste the credential alone`;
  },
  pool_outside_namespaces: ({ namespace }) => `namespace ${namespace} is not among the operator's --pool-namespaces`,
  pool_without_credentials: () => 'none of its credentials is usable; its status says why',
};

/** The object that a sentence begins with. */
export function subjectOf({ object }: Subject): string {
  return object === undefined ? 'it' : objectId(object);
}

/** The sentence for a laptop. Every name there belongs to the reader, so it suggests nearest names. */
export function describeProblem<C extends ProblemCode>(problem: Problem<C>): string {
  return sentences[problem.code](problem);
}

/** One line for a laptop: `team.yaml:12: spec.limits[0].usd: usd "5,00" is not a decimal amount …`. */
export function formatProblem(problem: Problem): string {
  const { source, path } = problem;
  return [source && formatSource(source), path, describeProblem(problem)].filter((part) => part !== undefined).join(': ');
}

function formatSource({ file, line }: Source): string {
  return line === undefined ? file : `${file}:${line}`;
}
