import { randomBytes } from 'node:crypto';
import { type Broker, type BrokerDeps, createBroker } from '../broker.ts';
import { checkOwn, type RecordEvent, recordOwn } from '../evidence/own-stream.ts';
import { type BoundDesk, createBoundDesk } from '../ledger/learn.ts';
import { createPriceDesk, type PriceDesk } from '../prices/desk.ts';
import { ProviderPrices } from '../prices/prices.ts';
import { openDataFolder } from '../store/data-folder.ts';
import type { Store } from '../store/types.ts';
import type { ClusterOptions } from './config.ts';

/** The store, and the broker over it. */
export interface State {
  /** Close it after the broker. */
  readonly store: Store;
  readonly broker: Broker;
  readonly prices: PriceDesk;
  readonly bounds: BoundDesk;
}

interface StateDeps extends Pick<BrokerDeps, 'decides' | 'onAlarm' | 'onChange'> {
  /** Wall clock, milliseconds. */
  readonly clock: () => number;
}

/** Opens the store in the data folder and follows what other replicas write there. If it cannot, it throws and says what to do. */
export function openState({ dataDir, service, logger }: ClusterOptions, { clock, ...deps }: StateDeps): State {
  const { store, rootKey } = openDataFolder(dataDir, clock, logger);
  const own = { rootKey, random: randomBytes, instance: service.name };
  store.transaction((tx) => checkOwn(tx, own));
  const prices = new ProviderPrices({ decides: deps.decides, logger });
  const broker = createBroker({
    ...deps,
    ...own,
    store,
    book: (tx, provider, endpoint) => prices.book(tx, provider, endpoint),
    logger,
    poolProblems: 'withdraw',
  });
  store.onForeignWrite(() => {
    try {
      broker.refresh();
      return true;
    } catch (error) {
      logger.error({ err: error }, 'the operator cannot read what another replica wrote; it retries');
      return false;
    }
  });
  const record: RecordEvent = (tx, event) => recordOwn(tx, event, own);
  const onChange = (): unknown => broker.refresh();
  return {
    store,
    broker,
    prices: createPriceDesk({ store, prices, record, onChange }),
    bounds: createBoundDesk({ store, record, onChange }),
  };
}
