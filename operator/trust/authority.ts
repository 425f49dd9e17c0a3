import { setInterval } from 'node:timers';
import type { Logger } from 'pino';
import { secrets } from '../kube/resources.ts';
import { type KubeClient, KubeError, type KubeObject } from '../kube/types.ts';
import { managedLabel, managedValue } from '../labels.ts';
import { crossSign, issueLeaf, leafLifeMs, type Root } from './issue.ts';
import { isMadeOf } from './pem.ts';
import { advance, decodeRoots, encodeRoots, endOf, known, type Roots, trusted } from './roots.ts';
import type { Authority, Leaf } from './types.ts';

/** The Secret in the operator's namespace that holds the roots and their keys. */
const certificatesSecret = 'keyforge-certificates';

const checkMs = 60_000;
/** Maximum of attempts: if other replicas win more often, something else is wrong. */
const maxTries = 5;

interface AuthorityDeps {
  readonly client: KubeClient;
  /** The operator's own. */
  readonly namespace: string;
  /** The DNS names of the leaf. */
  readonly dnsNames: readonly string[];
  /** Unix time in ms. */
  readonly clock: () => number;
  readonly logger: Logger;
}

interface State {
  readonly roots: Roots;
  readonly rootPem: string;
  readonly signer: Root;
  readonly leaf: Leaf;
}

/**
 * Opens the operator's own authority. The roots are in one Secret, and each replica signs its own leaf, which never leaves its
 * memory. Each replica reads the Secret each minute. If the Secret is missing, or a root is due, the first replica that
 * notices writes it, and the others use what it wrote. While the API server is down, replicas renew leaves from memory.
 * If the Secret cannot be used, it rejects and says what to do.
 */
export async function openAuthority(deps: AuthorityDeps): Promise<Authority> {
  const authority = new SecretAuthority(deps, await derive(deps, await syncRoots(deps, null), null));
  authority.start();
  return authority;
}

class SecretAuthority implements Authority {
  readonly #deps: AuthorityDeps;
  readonly #listeners = new Set<() => void>();
  #state: State;
  #timer: NodeJS.Timeout | undefined;
  #checking: Promise<void> | null = null;

  constructor(deps: AuthorityDeps, state: State) {
    this.#deps = deps;
    this.#state = state;
  }

  start(): void {
    this.#timer = setInterval(() => this.check(), checkMs).unref();
  }

  rootPem(): string {
    return this.#state.rootPem;
  }

  accepts(literal: string): boolean {
    return isMadeOf(literal, known(this.#state.roots));
  }

  leaf(): Leaf {
    return this.#state.leaf;
  }

  onRenew(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  check(): Promise<void> {
    this.#checking ??= this.#renew()
      .catch((error: unknown) =>
        this.#deps.logger.error({ err: error }, 'the operator cannot renew the certificate of this replica; it retries in a minute'),
      )
      .finally(() => {
        this.#checking = null;
      });
    return this.#checking;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #renew(): Promise<void> {
    const previous = this.#state;
    const roots = await syncRoots(this.#deps, previous.roots).catch((error: unknown) => {
      this.#deps.logger.warn({ err: error }, `the operator cannot read Secret ${certificatesSecret}; it keeps using the roots in memory`);
      return previous.roots;
    });
    const state = await derive(this.#deps, roots, previous);
    this.#state = state;
    if (state.leaf === previous.leaf && state.rootPem === previous.rootPem) return;
    for (const listener of this.#listeners) listener();
  }
}

/** Makes the state for these roots at this time, with the previous leaf, or with a new one if that is due. */
async function derive({ clock, dnsNames, logger }: AuthorityDeps, roots: Roots, previous: State | null): Promise<State> {
  const nowMs = clock();
  const signer = roots.next ?? roots.current;
  const rootPem = trusted(roots, nowMs);
  const isDue = previous === null || previous.signer.certPem !== signer.certPem || nowMs >= previous.leaf.notAfterMs - leafLifeMs / 3;
  // A leaf of an expired signer would be expired too.
  if (!isDue || (previous !== null && nowMs >= endOf(signer))) return { roots, rootPem, signer, leaf: previous.leaf };
  const between = roots.next !== undefined && nowMs < endOf(roots.current) ? await crossSign(roots.next, roots.current) : '';
  const leaf = await issueLeaf(dnsNames, signer, between, nowMs);
  logger.info({ serial: leaf.serial, notAfter: new Date(leaf.notAfterMs).toISOString() }, 'signed a certificate for this replica');
  return { roots, rootPem, signer, leaf };
}

/** Reads the Secret, and writes it if it is missing or a root is due. Exactly one replica's write takes effect. */
async function syncRoots(deps: AuthorityDeps, held: Roots | null): Promise<Roots> {
  const place = { namespace: deps.namespace, name: certificatesSecret };
  let lost: KubeError | undefined;
  for (let tries = 0; tries < maxTries; tries += 1) {
    const found = await deps.client.get(secrets, place);
    const stored = found === null ? null : readSecret(found);
    const before = stored ?? held;
    const roots = await advance(before, deps.clock());
    if (roots === stored) return roots;
    try {
      if (found === null) await deps.client.create(secrets, newSecret(place, roots));
      else await rewrite(deps.client, found, roots);
      logWritten(deps, before, roots);
      return roots;
    } catch (error) {
      // 409: another replica made it. 422: another replica changed it (the patch's test failed). 404: it was deleted in between.
      if (!(error instanceof KubeError && [404, 409, 422].includes(error.status))) throw error;
      lost = error;
    }
  }
  throw new Error(`the operator cannot write Secret ${deps.namespace}/${certificatesSecret} after ${maxTries} attempts`, { cause: lost });
}

function readSecret({ metadata, ['data']: data }: KubeObject): Roots | null {
  const where = `Secret ${metadata.namespace}/${metadata.name}`;
  if (metadata.labels?.[managedLabel] !== managedValue)
    throw new Error(
      `${where} does not belong to KeyForge, because it lacks the label ${managedLabel}: ${managedValue}; move its content to another name and delete it`,
    );
  const roots = decodeRoots(data);
  if (typeof roots !== 'string') return roots;
  throw new Error(
    `${where} cannot be used: ${roots}; restore it from a backup. Without one, delete it while no operator runs: the next start ` +
      'makes a new root, and every injected Pod must be re-created, since Pods trust the root that they were injected with',
  );
}

function newSecret(place: { readonly namespace: string; readonly name: string }, roots: Roots): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { ...place, labels: { [managedLabel]: managedValue } },
    type: 'Opaque',
    data: encodeRoots(roots),
  };
}

async function rewrite(client: KubeClient, { metadata }: KubeObject, roots: Roots): Promise<void> {
  await client.patch(secrets, { namespace: metadata.namespace ?? '', name: metadata.name }, [
    { op: 'test', path: '/metadata/resourceVersion', value: metadata.resourceVersion },
    { op: 'add', path: '/data', value: encodeRoots(roots) },
  ]);
}

function logWritten({ logger }: AuthorityDeps, before: Roots | null, after: Roots): void {
  const root = { notAfter: new Date(endOf(after.next ?? after.current)).toISOString() };
  if (before === null) logger.info(root, 'made the root certificate');
  else if (before === after)
    logger.warn(root, `Secret ${certificatesSecret} was missing or empty; the operator wrote it again with the same root certificate`);
  else if (after.current.certPem === before.current.certPem)
    logger.warn(
      root,
      'made the next root certificate; Pods injected before now trust only the current one: re-create them before it expires',
    );
  else if (before.next === undefined)
    logger.error(root, 'the root certificate had expired and was replaced; every injected Pod must be re-created');
  else logger.warn(root, 'the next root certificate replaced the one that expired');
}
