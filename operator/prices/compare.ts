import type { ProviderKind } from '../../core/manifest/providers.ts';
import type { ListedModel } from './listed.ts';
import { listedModels } from './listed.ts';
import { sourcesOf } from './sources.ts';

/** A class of a model on which the sources differ, in pico-USD per token. */
export interface Difference {
  readonly provider: ProviderKind;
  readonly model: string;
  readonly class: string;
  readonly first: number;
  readonly second: number;
}

/** The classes of one model that both sources name, with different prices. */
function differencesOf(provider: ProviderKind, model: ListedModel): readonly Difference[] {
  if (model.first === null) return [];
  const { first, second } = sourcesOf({ ...model, first: model.first }, {});
  return Object.entries(first).flatMap(([name, price]) => {
    const other = second?.[name] ?? price;
    return other === price ? [] : [{ provider, model: model.id, class: name, first: price, second: other }];
  });
}

/** All differences between the sources of these providers on one day. */
export function differences(providers: readonly ProviderKind[], atMs: number): readonly Difference[] {
  return providers.flatMap((provider) => listedModels(provider, atMs).flatMap((model) => differencesOf(provider, model)));
}
