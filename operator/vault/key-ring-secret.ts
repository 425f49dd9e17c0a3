import type { Logger } from 'pino';
import { writeSecret } from '../kube/refused-write.ts';
import { secrets } from '../kube/resources.ts';
import { type KubeClient, KubeError } from '../kube/types.ts';
import { managedLabel, managedValue } from '../labels.ts';
import type { Random } from './aead.ts';
import { newRootKey, type RootRing, readRootRing, rootKeySecret, type VaultProblem } from './ring.ts';

const retryMs = 1_000;

/** The Secret of the vault's key ring, as last read. */
export interface KeyRingSecret {
  /** The key ring; undefined before the first read. While the Secret is missing or invalid, the last ring stays in use. */
  ring(): RootRing | undefined;
  /** The problem of the Secret; null: none. */
  problem(): VaultProblem | null;
  /** Settles after the first read of the Secret, even if there is none. */
  readonly firstRead: Promise<void>;
  /** Reads the Secret, one read at a time; retries until the API server answers. */
  refresh(): void;
  /** Creates the Secret if there is none, with the ring in use if there is one. Only the leader does this. Rejects if it fails. */
  createIfMissing(): Promise<void>;
  close(): void;
}

interface KeyRingSecretDeps {
  readonly client: Pick<KubeClient, 'get' | 'create'>;
  /** The operator's own namespace. */
  readonly namespace: string;
  readonly random: Random;
  /** Called after a change of the ring or of the problem. */
  readonly onChange: () => void;
  readonly logger: Logger;
}

/** Makes the reader. It reads nothing before the first `refresh`. */
export function createKeyRingSecret(deps: KeyRingSecretDeps): KeyRingSecret {
  return new RingReader(deps);
}

class RingReader implements KeyRingSecret {
  readonly #deps: KeyRingSecretDeps;
  readonly #first = Promise.withResolvers<void>();
  #ring: RootRing | undefined;
  #problem: VaultProblem | null = null;
  #isMissing = false;
  #isReading = false;
  #isStale = false;
  #isClosed = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(deps: KeyRingSecretDeps) {
    this.#deps = deps;
  }

  readonly ring = (): RootRing | undefined => this.#ring;
  readonly problem = (): VaultProblem | null => this.#problem;

  get firstRead(): Promise<void> {
    return this.#first.promise;
  }

  refresh(): void {
    this.#isStale = true;
    if (!this.#isReading && !this.#isClosed) void this.#readUntilFresh();
  }

  async createIfMissing(): Promise<void> {
    if (this.#ring !== undefined && !this.#isMissing) return;
    await this.#read();
    if (!this.#isMissing) return;
    const { logger, random } = this.#deps;
    const inUse = this.#ring;
    try {
      // If a ring is in use, write that one, because a new ring could not open sealed data.
      await this.#create(inUse === undefined ? newRootKey(random) : itemsOf(inUse));
      if (inUse !== undefined) logger.warn(`Secret ${rootKeySecret} was deleted; the operator wrote it again with the same keys`);
      else
        logger.info(
          `the operator made a new root key in Secret ${rootKeySecret}; each ProviderPool reports a vault that another key sealed`,
        );
    } catch (error) {
      if (!(error instanceof KubeError && error.reason === 'AlreadyExists')) throw error;
    }
    await this.#read();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async #readUntilFresh(): Promise<void> {
    this.#isReading = true;
    clearTimeout(this.#timer);
    try {
      while (this.#isStale) {
        this.#isStale = false;
        await this.#read();
      }
      this.#first.resolve();
    } catch (error) {
      this.#deps.logger.warn({ err: error }, 'the operator cannot read the root keys; it retries in a second');
      this.#timer = setTimeout(() => this.refresh(), retryMs);
    } finally {
      this.#isReading = false;
    }
  }

  async #read(): Promise<void> {
    const { client, namespace, logger, onChange } = this.#deps;
    const secret = await client.get(secrets, { namespace, name: rootKeySecret });
    const found = secret === null ? null : readRootRing(secret['data']);
    const previous = { ring: this.#ring, message: this.#problem?.message, isMissing: this.#isMissing };
    this.#isMissing = found === null;
    this.#problem = found?.kind === 'problem' ? found : null;
    if (found?.kind === 'ring' && !isSameRing(this.#ring, found.ring)) this.#ring = found.ring;
    if (previous.ring === this.#ring && previous.message === this.#problem?.message && previous.isMissing === this.#isMissing) return;
    if (this.#problem !== null) logger.error({ reason: this.#problem.reason }, this.#problem.message);
    onChange();
  }

  async #create(data: Readonly<Record<string, string>>): Promise<void> {
    const { client, namespace } = this.#deps;
    const metadata = { namespace, name: rootKeySecret, labels: { [managedLabel]: managedValue } };
    const advice = "Fix what refuses it in the operator's namespace (a quota, an admission policy)";
    const write = { secret: rootKeySecret, advice, values: Object.values(data) };
    await writeSecret(write, () => client.create(secrets, { apiVersion: 'v1', kind: 'Secret', type: 'Opaque', metadata, data }));
  }
}

/** The `data` of the Secret; its values are secrets. */
function itemsOf(ring: RootRing): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(ring).map(([item, key]) => [item, Buffer.from(key).toString('base64')]));
}

function isSameRing(one: RootRing | undefined, other: RootRing): boolean {
  return isSameKey(one?.current, other.current) && isSameKey(one?.previous, other.previous);
}

function isSameKey(one: Buffer | undefined, other: Buffer | undefined): boolean {
  return one === undefined || other === undefined ? one === other : one.equals(other);
}
