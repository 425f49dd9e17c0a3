import { randomBytes } from 'node:crypto';
import { type Broker, createBroker } from '../broker/broker.ts';
import { openDataFolder } from '../data-folder.ts';
import { dailyBooks } from '../prices/daily.ts';
import type { Store } from '../store/types.ts';
import type { ClusterOptions } from './config.ts';

/** The one durable state, and the broker over it. */
export interface State {
  /** To be closed after the broker. */
  readonly store: Store;
  readonly broker: Broker;
}

/** Opens the store in the data folder; throws where it cannot go on, saying what to do. */
export function openState({ dataDir, service, logger }: ClusterOptions, clock: () => number, onChange: () => void): State {
  const { store, rootKey } = openDataFolder(dataDir, clock, logger);
  const broker = createBroker({
    ...{ store, book: dailyBooks(), random: randomBytes, rootKey, instance: service.name, onChange, logger },
    poolProblems: 'withdraw',
  });
  return { store, broker };
}
