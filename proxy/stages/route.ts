import { isRefusal, type Refusal } from '../../core/errors.ts';
import type { PoolName } from '../../core/names.ts';
import type { KeyDocument, PoolDocument } from '../../core/policy/documents.ts';
import { type Candidate, routeFree, routeModel } from '../../core/policy/route.ts';
import type { Dialect, Facts } from '../dialect/types.ts';
import { providerOf } from '../provider/table.ts';
import type { Reachable } from './send.ts';

/** By candidates, whose identity `routeModel` keeps from call to call. */
const reached = new WeakMap<readonly Candidate[], readonly Reachable[]>();

/** Finds the candidates for a model, in order. Policy allows each, and its provider speaks the caller's dialect. Pure; cached by identity. */
export function route(
  document: KeyDocument,
  pools: ReadonlyMap<PoolName, PoolDocument>,
  dialect: Dialect,
  facts: Facts,
): readonly Reachable[] | Refusal {
  const find = dialect.needsNoPrice === true ? routeFree : routeModel;
  const candidates = find(document, pools, facts.model, (pool) => providerOf(pool.provider)?.paths[dialect.id] !== undefined);
  if (isRefusal(candidates)) return candidates;
  const known = reached.get(candidates);
  if (known !== undefined) return known;
  const reachable: Reachable[] = [];
  for (const candidate of candidates) {
    const provider = providerOf(candidate.pool.provider);
    if (provider !== null) reachable.push({ ...candidate, provider, overhead: provider.overheadOf(candidate.upstreamModel) });
  }
  reached.set(candidates, reachable);
  return reachable;
}
