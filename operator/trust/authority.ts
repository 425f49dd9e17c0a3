import { setInterval } from 'node:timers';
import type { Logger } from 'pino';
import { secrets } from '../kube/resources.ts';
import { type KubeClient, KubeError, type KubeObject } from '../kube/types.ts';
import { crossSign, issueLeaf, leafLifeMs, type Root } from './issue.ts';
import { isMadeOf } from './pem.ts';
import { advance, decodeRoots, encodeRoots, endOf, known, type Roots, trusted } from './roots.ts';
import type { Authority, Leaf } from './types.ts';

/** The Secret in the operator's namespace that holds the roots and their keys. */
export const certificatesSecret = 'keyforge-certificates';

const lookMs = 60_000;
const managedBy = { 'app.kubernetes.io/managed-by': 'keyforge' };
/** Another replica won that often: something else is wrong. */
const mostTries = 5;

export interface AuthorityDeps {
  readonly client: KubeClient;
  /** The operator's own. */
  readonly namespace: string;
  /** Names that the leaf is for. */
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
 * The operator as its own authority: the roots rest in one Secret, and each replica signs a leaf of its own that never
 * leaves its memory. The Secret is looked at each minute; it is written when it is missing, and when a root is due,
 * by whichever replica comes first: the others find out and take what it wrote. While the API server is away, leafs are
 * renewed from memory. Rejects where the Secret cannot be used, saying what to do.
 */
export async function openAuthority(deps: AuthorityDeps): Promise<Authority> {
  const { clock, dnsNames, logger } = deps;
  const listeners = new Set<() => void>();
  let state = await derive(await syncRoots(deps, null), null);
  let checking: Promise<void> | null = null;
  const timer = setInterval(check, lookMs).unref();

  async function derive(roots: Roots, before: State | null): Promise<State> {
    const nowMs = clock();
    const signer = roots.next ?? roots.current;
    const rootPem = trusted(roots, nowMs);
    const stale = before === null || before.signer.certPem !== signer.certPem || nowMs >= before.leaf.notAfterMs - leafLifeMs / 3;
    // A signer at its end could only sign what has ended too.
    if (!stale || (before !== null && nowMs >= endOf(signer))) return { roots, rootPem, signer, leaf: before.leaf };
    const between = roots.next !== undefined && nowMs < endOf(roots.current) ? await crossSign(roots.next, roots.current) : '';
    const leaf = await issueLeaf(dnsNames, signer, between, nowMs);
    logger.info({ serial: leaf.serial, notAfter: new Date(leaf.notAfterMs).toISOString() }, 'signed a certificate for this replica');
    return { roots, rootPem, signer, leaf };
  }

  async function look(): Promise<void> {
    const roots = await syncRoots(deps, state.roots).catch((error: unknown) => {
      logger.warn({ err: error }, `could not look at Secret ${certificatesSecret}; the roots in memory stay in use`);
      return state.roots;
    });
    const before = state;
    state = await derive(roots, before);
    if (state.leaf !== before.leaf || state.rootPem !== before.rootPem) for (const listener of listeners) listener();
  }

  function check(): Promise<void> {
    checking ??= look()
      .catch((error: unknown) => logger.error({ err: error }, 'could not renew the certificate of this replica; tried again in a minute'))
      .finally(() => {
        checking = null;
      });
    return checking;
  }

  return {
    rootPem: () => state.rootPem,
    accepts: (literal) => isMadeOf(literal, known(state.roots)),
    leaf: () => state.leaf,
    onRenew(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    check,
    close: () => clearInterval(timer),
  };
}

/** Reads the Secret, and writes it where it is missing (again) or a root is due. Exactly one replica's write takes effect. */
async function syncRoots(deps: AuthorityDeps, held: Roots | null): Promise<Roots> {
  const place = { namespace: deps.namespace, name: certificatesSecret };
  let lost: KubeError | undefined;
  for (let tries = 0; tries < mostTries; tries += 1) {
    const found = await deps.client.get(secrets, place);
    const stored = found === null ? null : readSecret(found);
    const before = stored ?? held;
    const roots = await advance(before, deps.clock());
    if (roots === stored) return roots;
    try {
      if (found === null) await deps.client.create(secrets, newSecret(place, roots));
      else await rewrite(deps.client, found, roots);
      tell(deps, before, roots);
      return roots;
    } catch (error) {
      // 409: another replica made it; 422: another replica changed it (the patch's test failed); 404: it was deleted meanwhile.
      if (!(error instanceof KubeError && [404, 409, 422].includes(error.status))) throw error;
      lost = error;
    }
  }
  throw new Error(`Secret ${deps.namespace}/${certificatesSecret} could not be written in ${mostTries} tries`, { cause: lost });
}

function readSecret({ metadata, ['data']: data }: KubeObject): Roots | null {
  const where = `Secret ${metadata.namespace}/${metadata.name}`;
  if (metadata.labels?.['app.kubernetes.io/managed-by'] !== 'keyforge')
    throw new Error(
      `${where} is not KeyForge's: it lacks the label app.kubernetes.io/managed-by: keyforge; move what it holds to another name and delete it`,
    );
  const roots = decodeRoots(data);
  if (typeof roots !== 'string') return roots;
  throw new Error(
    `${where} cannot be used: ${roots}; restore it from a backup. Without one, delete it while no operator runs: the next start ` +
      'makes a new root, and every injected Pod must be re-created, since Pods trust the root that they were started with',
  );
}

function newSecret(place: { readonly namespace: string; readonly name: string }, roots: Roots): KubeObject {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { ...place, labels: managedBy }, type: 'Opaque', data: encodeRoots(roots) };
}

async function rewrite(client: KubeClient, { metadata }: KubeObject, roots: Roots): Promise<void> {
  await client.patch(secrets, { namespace: metadata.namespace ?? '', name: metadata.name }, [
    { op: 'test', path: '/metadata/resourceVersion', value: metadata.resourceVersion },
    { op: 'add', path: '/data', value: encodeRoots(roots) },
  ]);
}

function tell({ logger }: AuthorityDeps, before: Roots | null, after: Roots): void {
  const root = { notAfter: new Date(endOf(after.next ?? after.current)).toISOString() };
  if (before === null) logger.info(root, 'made the root certificate');
  else if (before === after)
    logger.warn(root, `Secret ${certificatesSecret} was gone or empty; wrote it again with the same root certificate`);
  else if (after.current.certPem === before.current.certPem)
    logger.warn(
      root,
      'made the next root certificate; Pods injected before now trust the present one alone: re-create them before it ends',
    );
  else if (before.next === undefined)
    logger.error(root, 'the root certificate had ended and was made anew; every injected Pod must be re-created');
  else logger.warn(root, 'the next root certificate took the place of the one that ended');
}
