import type { ProviderKind } from '../../core/manifest/providers.ts';
import type { RecordEvent } from '../evidence/own-stream.ts';
import type { Store } from '../store/types.ts';
import type { ProviderPrices, WaitingModel } from './prices.ts';

/** What an administrator can do with prices. */
export interface PriceDesk {
  /** Every model with a price that waits for an acknowledgement. */
  waiting(): readonly WaitingModel[];
  /** Accepts the offer of a model, or of all models of a provider. Returns the models; empty if nothing waits. */
  acknowledge(provider: ProviderKind, model: string | undefined, actor: string): readonly string[];
}

interface PriceDeskDeps {
  readonly store: Store;
  readonly prices: ProviderPrices;
  readonly record: RecordEvent;
  /** Called after a change, so that documents get the new prices. */
  readonly onChange: () => void;
}

/** Makes the desk over the prices in force. */
export function createPriceDesk({ store, prices, record, onChange }: PriceDeskDeps): PriceDesk {
  return {
    waiting: () => store.transaction((tx) => prices.waiting(tx)),
    acknowledge(provider, model, actor) {
      const models = store.transaction((tx) => {
        const accepted = prices.acknowledge(tx, provider, model);
        if (accepted.length > 0)
          record(tx, { type: 'prices_acknowledged', object: provider, actor, detail: { models: accepted.join(' ') } });
        return accepted;
      });
      if (models.length > 0) onChange();
      return models;
    },
  };
}
