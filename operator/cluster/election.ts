import { connectKube } from '../kube/client.ts';
import { createElector, type Elector } from '../kube/elector.ts';
import type { Leadership } from '../reconcile/leadership.ts';
import type { ClusterOptions } from './config.ts';

/** This replica's part in the election for the operator's Lease. */
interface Election {
  start(): void;
  /** Ends the term, waits for its last write, and releases the Lease. */
  close(): Promise<void>;
}

/** Makes a candidate, not started yet. `leadership` leads while this replica holds the Lease. */
export function joinElection({ kubeconfig, namespace, identity, logger }: ClusterOptions, leadership: Leadership): Election {
  // A separate client, so that renewals never wait behind lists.
  const client = connectKube({ kubeconfig, logger });
  const elector: Elector = createElector({
    client,
    namespace,
    name: 'keyforge-operator',
    identity,
    clock: Date.now,
    logger,
    // Settles after the last write of the term; until then this replica is no candidate.
    onStarted: (signal) => leadership.lead(signal, () => elector.leads()),
    onStopped: () => logger.info('this replica no longer leads'),
  });
  return {
    start: () => elector.start(),
    async close() {
      await elector.close();
      await client.close();
    },
  };
}
