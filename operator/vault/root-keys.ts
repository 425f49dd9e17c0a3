import type { Logger } from 'pino';
import { writeSecret } from '../kube/refused-write.ts';
import { secrets } from '../kube/resources.ts';
import { type KubeClient, KubeError } from '../kube/types.ts';
import { managedLabel, managedValue } from '../reconcile/names.ts';
import type { Random } from './aead.ts';
import { newRootKey, type RootRing, readRootRing, rootKeySecret, type VaultProblem } from './ring.ts';

/** The root keys as they stand in the operator's namespace. */
export interface RootKeys {
  /** Undefined before the first reading; where the Secret is missing or bad, the keys last read stay in use. */
  ring(): RootRing | undefined;
  /** What is wrong with the Secret now; null: nothing. */
  problem(): VaultProblem | null;
  /** Reads anew. Rejects where the API server cannot be asked. */
  read(): Promise<void>;
  /** Makes the Secret where there is none, of the keys in use if there are any: the leader's part. */
  ensure(): Promise<void>;
}

export interface RootKeysDeps {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly random: Random;
  /** Other keys are in use from now on, or something else is wrong with the Secret. */
  readonly onChange: () => void;
  readonly logger: Logger;
}

/** Nothing is read yet. */
export function createRootKeys({ client, namespace, random, onChange, logger }: RootKeysDeps): RootKeys {
  const at = { namespace, name: rootKeySecret };
  let ring: RootRing | undefined;
  let problem: VaultProblem | null = null;
  let isMissing = false;

  async function read(): Promise<void> {
    const secret = await client.get(secrets, at);
    const found = secret === null ? null : readRootRing(secret['data']);
    const before = { ring, told: problem?.message, isMissing };
    isMissing = found === null;
    problem = found?.kind === 'problem' ? found : null;
    if (found?.kind === 'ring' && !sameRing(ring, found.ring)) ring = found.ring;
    if (before.ring === ring && before.told === problem?.message && before.isMissing === isMissing) return;
    if (problem !== null) logger.error({ reason: problem.reason }, problem.message);
    onChange();
  }

  async function create(data: Readonly<Record<string, string>>): Promise<void> {
    const metadata = { ...at, labels: { [managedLabel]: managedValue } };
    const advice = "Change what refuses it in the operator's namespace (a quota, an admission policy)";
    const write = { secret: rootKeySecret, advice, values: Object.values(data) };
    await writeSecret(write, () => client.create(secrets, { apiVersion: 'v1', kind: 'Secret', type: 'Opaque', metadata, data }));
  }

  return {
    ring: () => ring,
    problem: () => problem,
    read,
    async ensure() {
      if (ring !== undefined && !isMissing) return;
      await read();
      if (!isMissing) return;
      const isLost = ring !== undefined;
      try {
        // While keys are in use a new one would not do: it could not open what is sealed.
        await create(ring === undefined ? newRootKey(random) : itemsOf(ring));
        if (isLost) logger.warn(`Secret ${rootKeySecret} was gone; wrote it again with the same keys`);
        else logger.info(`made a new root key in Secret ${rootKeySecret}; vaults that another one sealed are told at their ProviderPools`);
      } catch (error) {
        if (!(error instanceof KubeError && error.reason === 'AlreadyExists')) throw error;
      }
      await read();
    },
  };
}

/** As the Secret's `data`; secrets. */
function itemsOf(ring: RootRing): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(ring).map(([item, key]) => [item, Buffer.from(key).toString('base64')]));
}

function sameRing(a: RootRing | undefined, b: RootRing): boolean {
  return sameKey(a?.current, b.current) && sameKey(a?.previous, b.previous);
}

function sameKey(a: Buffer | undefined, b: Buffer | undefined): boolean {
  return a === undefined || b === undefined ? a === b : a.equals(b);
}
