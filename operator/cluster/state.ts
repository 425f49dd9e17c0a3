import { randomBytes } from 'node:crypto';
import { type Broker, type BrokerDeps, createBroker } from '../broker.ts';
import { checkOwn } from '../evidence/own-stream.ts';
import { dailyBooks } from '../prices/genai-prices.ts';
import { openDataFolder } from '../store/data-folder.ts';
import type { Store } from '../store/types.ts';
import type { ClusterOptions } from './config.ts';

/** The store, and the broker over it. */
export interface State {
  /** Close it after the broker. */
  readonly store: Store;
  readonly broker: Broker;
}

interface StateDeps extends Pick<BrokerDeps, 'decides' | 'onAlarm' | 'onChange'> {
  /** Wall clock, milliseconds. */
  readonly clock: () => number;
}

/** Opens the store in the data folder and follows what other replicas write there. If it cannot, it throws and says what to do. */
export function openState({ dataDir, service, logger }: ClusterOptions, { clock, ...deps }: StateDeps): State {
  const { store, rootKey } = openDataFolder(dataDir, clock, logger);
  store.transaction((tx) => checkOwn(tx, { rootKey, instance: service.name }));
  const broker = createBroker({
    ...deps,
    store,
    book: dailyBooks(),
    random: randomBytes,
    rootKey,
    instance: service.name,
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
  return { store, broker };
}
