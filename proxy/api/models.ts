import { isRefusal, type Refusal, refuse } from '../../core/errors.ts';
import { quote } from '../../core/manifest/reader.ts';
import type { PoolName } from '../../core/names.ts';
import { isCapped } from '../../core/policy/check.ts';
import type { KeyDocument, PoolDocument } from '../../core/policy/documents.ts';
import { listModels, routeModel } from '../../core/policy/route.ts';
import type { ModelPrice } from '../../core/price/types.ts';
import { dialectsOf } from '../dialect/table.ts';
import type { Family, ShownModel } from '../dialect/types.ts';
import { providerOf } from '../provider/table.ts';

type Pools = ReadonlyMap<PoolName, PoolDocument>;

/** The models that a key may call in this family, in the format of the family's own API. */
export function modelsOf(family: Family, document: KeyDocument, pools: Pools): object {
  return family.modelList(listModels(document, pools, speaks(family)).map(({ id, provider, price }) => shown(id, provider, price)));
}

/** One model by any name under which the key may call it, also one that the list leaves out. A forbidden model looks like a missing one. */
export function modelOf(id: string, family: Family, document: KeyDocument, pools: Pools): object | Refusal {
  const routed = routeModel(document, pools, id, speaks(family));
  const found = isRefusal(routed) ? undefined : routed.find(({ price }) => price !== null || !isCapped(document));
  if (found !== undefined) return family.model(shown(id, found.pool.provider, found.price));
  return refuse(
    'model_not_found',
    `The model ${quote(id)} does not exist, or ${document.key} may not use it: list the models to see those it may use.`,
  );
}

function shown(id: string, provider: string, price: ModelPrice | null): ShownModel {
  return { id, provider, contextTokens: price?.contextTokens, maxOutputTokens: price?.maxOutputTokens };
}

/** Makes a test for pools whose provider speaks a dialect of the family. */
function speaks(family: Family): (pool: PoolDocument) => boolean {
  const dialects = dialectsOf(family);
  return ({ provider }) => dialects.some(({ id }) => providerOf(provider)?.paths[id] !== undefined);
}
