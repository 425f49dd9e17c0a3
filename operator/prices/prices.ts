import type { Logger } from 'pino';
import { type ProviderKind, providerKinds } from '../../core/manifest/providers.ts';
import type { BookEntry } from '../../core/price/types.ts';
import type { Tx } from '../store/types.ts';
import { type BookState, bookOf, type SettledBook, settleBook } from './book.ts';
import { factsOf } from './facts/providers.ts';
import { type ListedModel, listedModels } from './listed.ts';
import { acknowledge, type Wait } from './settle.ts';
import { sourcesOf } from './sources.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** A model with a price that waits for an acknowledgement. */
export interface WaitingModel {
  readonly provider: ProviderKind;
  readonly model: string;
  /** Rates in pico-USD per token. */
  readonly waits: readonly Wait[];
}

interface PricesDeps {
  /** True if this process writes what it settled; the others follow. */
  readonly decides: () => boolean;
  readonly logger: Logger;
}

/** One settlement, which holds while the day's lists, the state and the hour are the same. */
interface Settlement {
  readonly hour: number;
  readonly text: string | null;
  readonly models: readonly ListedModel[];
  readonly settled: SettledBook;
  readonly books: Map<boolean, readonly BookEntry[]>;
}

/**
 * The prices in force at each provider. The store remembers them, so that neither a new release nor a new day lowers a price
 * before its time. The clock is the store's.
 */
export class ProviderPrices {
  readonly #deps: PricesDeps;
  readonly #lists = new Map<ProviderKind, { readonly day: number; readonly models: readonly ListedModel[] }>();
  readonly #settlements = new Map<ProviderKind, Settlement>();
  readonly #warned = new Map<ProviderKind, string>();

  constructor(deps: PricesDeps) {
    this.#deps = deps;
  }

  /** The price book of a pool with this endpoint. */
  book(tx: Tx, provider: ProviderKind, endpoint: string): readonly BookEntry[] {
    const { models, settled, books } = this.#settle(tx, provider);
    const isRegional = factsOf(provider).isRegional?.(new URL(endpoint).host) ?? false;
    const known = books.get(isRegional);
    if (known !== undefined) return known;
    const book = bookOf(models, settled, isRegional);
    books.set(isRegional, book);
    return book;
  }

  /** What waits at the providers that pools use. */
  waiting(tx: Tx): readonly WaitingModel[] {
    return providerKinds
      .filter((provider) => tx.prices.state(provider) !== null)
      .flatMap((provider) => [...this.#settle(tx, provider).settled.waits].map(([model, waits]) => ({ provider, model, waits })));
  }

  /** Accepts what waits for a model, or for all models of a provider. Returns the models; later changes wait anew. */
  acknowledge(tx: Tx, provider: ProviderKind, model: string | undefined): readonly string[] {
    const { models, settled } = this.#settle(tx, provider);
    const chosen = [...settled.waits.keys()].filter((id) => model === undefined || id === model);
    const accepted: Record<string, BookState[string]> = {};
    for (const listed of models) {
      const state = settled.state[listed.id];
      if (!chosen.includes(listed.id) || accepted[listed.id] !== undefined || state === undefined || listed.first === null) continue;
      accepted[listed.id] = acknowledge(state, sourcesOf({ ...listed, first: listed.first }, state.inForce));
    }
    if (chosen.length > 0) tx.prices.putState(provider, JSON.stringify({ ...settled.state, ...accepted }));
    return chosen;
  }

  #settle(tx: Tx, provider: ProviderKind): Settlement {
    const hour = Math.floor(tx.now() / hourMs);
    const text = tx.prices.state(provider);
    const known = this.#settlements.get(provider);
    if (known?.hour === hour && known.text === text) return known;
    const models = this.#listed(provider, tx.now());
    const settled = settleBook(models, text === null ? {} : (JSON.parse(text) as BookState), tx.now());
    const next = JSON.stringify(settled.state);
    const writes = this.#deps.decides() && models.length > 0 && next !== text;
    if (writes) tx.prices.putState(provider, next);
    this.#warn(provider, settled);
    const settlement = { hour, text: writes ? next : text, models, settled, books: new Map() };
    this.#settlements.set(provider, settlement);
    return settlement;
  }

  #listed(provider: ProviderKind, nowMs: number): readonly ListedModel[] {
    const day = Math.floor(nowMs / dayMs);
    const known = this.#lists.get(provider);
    if (known?.day === day) return known.models;
    const models = listedModels(provider, nowMs);
    this.#lists.set(provider, { day, models });
    return models;
  }

  #warn(provider: ProviderKind, { waits }: SettledBook): void {
    const models = [...waits.keys()];
    const text = models.join();
    if (text === (this.#warned.get(provider) ?? '')) return;
    this.#warned.set(provider, text);
    if (models.length > 0) this.#deps.logger.warn({ provider, models }, 'prices wait for an acknowledgement; see `keyforge prices list`');
  }
}
