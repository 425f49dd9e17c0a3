import type { PoolName } from '../../core/names.ts';
import type { KeyDocument, PoolDocument } from '../../core/policy/documents.ts';
import { listModels } from '../../core/policy/route.ts';
import { dialectsOf } from '../dialect/table.ts';
import type { Family } from '../dialect/types.ts';
import { providerOf } from '../provider/table.ts';

/** The list of the models that a key may call in this family, as the family's own API writes it. */
export function modelsOf(family: Family, document: KeyDocument, pools: ReadonlyMap<PoolName, PoolDocument>): object {
  return family.modelList(listModels(document, pools, speaks(family)));
}

/** True for a pool whose provider speaks any dialect of the family. */
function speaks(family: Family): (pool: PoolDocument) => boolean {
  const dialects = dialectsOf(family);
  return ({ provider }) => dialects.some(({ id }) => providerOf(provider)?.paths[id] !== undefined);
}
