import type { Logger } from 'pino';
import { secrets } from '../kube/resources.ts';
import { type KubeClient, KubeError } from '../kube/types.ts';
import type { Random } from '../vault/aead.ts';
import { newRootKey, type RootRing, readRootRing, rootKeySecret, type VaultProblem } from '../vault/ring.ts';
import { managedLabel, managedValue } from './names.ts';

/** The root keys as they stand in the operator's namespace. */
export interface RootKeys {
  /** Undefined before the first reading; where the Secret is missing or bad, the keys last read stay in use. */
  ring(): RootRing | undefined;
  /** What is wrong with the Secret now; null: nothing. */
  problem(): VaultProblem | null;
  /** Reads anew. Rejects where the API server cannot be asked. */
  read(): Promise<void>;
  /** Makes the Secret where there is none: the leader's part. */
  ensure(): Promise<void>;
}

export interface RootKeysDeps {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly random: Random;
  /** Other keys are in use from now on. */
  readonly onChange: () => void;
  readonly logger: Logger;
}

/** Nothing is read yet. */
export function createRootKeys({ client, namespace, random, onChange, logger }: RootKeysDeps): RootKeys {
  const at = { namespace, name: rootKeySecret };
  let ring: RootRing | undefined;
  let problem: VaultProblem | null = null;

  async function read(): Promise<void> {
    const secret = await client.get(secrets, at);
    if (secret === null) return;
    const found = readRootRing(secret['data']);
    problem = found.kind === 'problem' ? found : null;
    if (found.kind === 'problem') {
      logger.error({ reason: found.reason }, found.message);
      return;
    }
    const isSame = sameKey(ring?.current, found.ring.current) && sameKey(ring?.previous, found.ring.previous);
    if (isSame) return;
    ring = found.ring;
    onChange();
  }

  return {
    ring: () => ring,
    problem: () => problem,
    read,
    async ensure() {
      // While keys are in use, a Secret that vanished is for people to restore: a new key could not open what is sealed.
      if (ring !== undefined) return;
      await read();
      if (ring !== undefined || problem !== null) return;
      const metadata = { ...at, labels: { [managedLabel]: managedValue } };
      try {
        await client.create(secrets, { apiVersion: 'v1', kind: 'Secret', type: 'Opaque', metadata, data: newRootKey(random) });
      } catch (error) {
        if (!(error instanceof KubeError && error.reason === 'AlreadyExists')) throw error;
      }
      await read();
    },
  };
}

function sameKey(a: Buffer | undefined, b: Buffer | undefined): boolean {
  return a === undefined || b === undefined ? a === b : a.equals(b);
}
