import type { Fee, InputModality, ModelPrice, Rates } from '../../../core/price/types.ts';

/** What a provider's own pages say about some of its models, where the price lists are silent. */
export interface Fact {
  /** Which models, by the book's id. */
  readonly models: RegExp;
  /** Input that costs what text costs. */
  readonly asText?: readonly InputModality[];
  /** True if the price of output is the price of speech. */
  readonly speaks?: boolean;
  /** Dollars per million tokens, for classes that the lists do not name, or name too low a price for. */
  readonly rates?: Readonly<Partial<Record<keyof Rates, number>>>;
  /** Dollars per 1,000 calls. */
  readonly fees?: Readonly<Partial<Record<Fee, number>>>;
  /** Percent of the standard price. */
  readonly percent?: ModelPrice['percent'];
  /** Percent of all prices at the provider's regional hosts. */
  readonly regionalPercent?: number;
  readonly reasonsByDefault?: boolean;
  readonly maxOutputTokens?: number;
  /** True if calls are billed by what no request can bound. */
  readonly isUnpriced?: boolean;
}

/** A part of a listed entry that differs from the rest in a fact. */
export interface Part {
  /** A name that can be called. */
  readonly id: string;
  /** The listed entry. */
  readonly of: string;
  readonly names: RegExp;
}

/** What is known of one model: a later fact replaces an earlier one, name by name. */
export function factOf(facts: readonly Fact[], id: string): Fact {
  const known = facts.filter(({ models }) => models.test(id));
  return {
    ...Object.assign({ models: /^/ }, ...known),
    rates: Object.assign({}, ...known.map((fact) => fact.rates)),
    fees: Object.assign({}, ...known.map((fact) => fact.fees)),
    percent: Object.assign({}, ...known.map((fact) => fact.percent)),
  };
}
