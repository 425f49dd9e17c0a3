import type { Problem } from '../../core/errors.ts';
import type { PoolName } from '../../core/names.ts';

/** A problem as a condition tells it. */
export interface Told {
  /** CamelCase, for conditions, events and metrics. */
  readonly reason: string;
  readonly message: string;
}

/** The words of core/policy by which its problems are told apart. */
const marks: readonly { readonly path: string; readonly words: string; readonly reason: string }[] = [
  { path: 'spec.parentRef', words: 'which does not exist', reason: 'ParentNotFound' },
  { path: 'spec.parentRef', words: 'which takes no children', reason: 'ConsentMissing' },
  { path: 'spec.parentRef', words: 'is its own ancestor', reason: 'ParentCycle' },
  { path: 'spec.parentRef', words: 'which cannot be served', reason: 'ParentNotServed' },
  { path: 'spec.pools', words: 'which does not exist', reason: 'PoolNotFound' },
  { path: 'spec.pools', words: 'which does not admit it', reason: 'ConsentMissing' },
  { path: 'spec.pools', words: 'which admits namespace', reason: 'ConsentMissing' },
  { path: 'spec.pools', words: 'is left without a pool', reason: 'NoPool' },
  { path: 'spec.pools', words: 'has no parent to inherit pools from', reason: 'NoPool' },
];

/**
 * What a condition says of a problem. `unserved`: pools that exist and are not served, with the reason. Names of other
 * objects are not suggested, as they are on a laptop: in a cluster they may be another tenant's.
 */
export function tell({ path, message }: Problem, unserved: ReadonlyMap<PoolName, string> = new Map()): Told {
  const reason = marks.find((mark) => mark.path === path && message.includes(mark.words))?.reason;
  if (reason === undefined) return { reason: 'InvalidSpec', message: path === undefined ? message : `${path}: ${message}` };
  const [what = message] = message.split(/, which does not exist/);
  if (reason === 'ParentNotFound') return { reason, message: `${what}, which does not exist; create it or correct spec.parentRef` };
  const [admits = message, under] = message.split(' only under ');
  if (under !== undefined) {
    const advice = 'let the key descend from one of them (spec.parentRef), or ask who owns the pool to admit it';
    return { reason, message: `${admits} only under keys that its spec.consumers names; ${advice}` };
  }
  if (reason !== 'PoolNotFound') return { reason, message };
  const pool = / names the pool (\S+)$/.exec(what)?.[1] as PoolName | undefined;
  const why = pool && unserved.get(pool);
  if (why !== undefined) return { reason: 'PoolNotServed', message: `${what}, which is not served: ${why}` };
  return { reason, message: `${what}, which does not exist; create that ProviderPool or correct spec.pools` };
}
