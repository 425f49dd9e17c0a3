import type { PoolName } from '../../core/names.ts';
import type { KeyDocument, PoolDocument } from '../../core/policy/documents.ts';
import { listModels } from '../../core/policy/route.ts';
import { dialectsOf } from '../dialect/table.ts';
import type { Family } from '../dialect/types.ts';
import { providerOf } from '../provider/table.ts';

/** The models that a key may call in this family, in the format of the family's own API. */
export function modelsOf(family: Family, document: KeyDocument, pools: ReadonlyMap<PoolName, PoolDocument>): object {
  return family.modelList(listModels(document, pools, speaks(family)));
}

/** Makes a test for pools whose provider speaks a dialect of the family. */
function speaks(family: Family): (pool: PoolDocument) => boolean {
  const dialects = dialectsOf(family);
  return ({ provider }) => dialects.some(({ id }) => providerOf(provider)?.paths[id] !== undefined);
}
