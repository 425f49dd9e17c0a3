import { randomBytes } from 'node:crypto';
import { type AdminApiDeps, createAdminApi } from '../api/app.ts';
import { type AdminServer, listenAdmin } from '../api/server.ts';
import { secrets } from '../kube/resources.ts';
import { type KubeClient, KubeError } from '../kube/types.ts';
import { managedLabel, managedValue } from '../labels.ts';

/** Its item `token` opens the admin API: anybody who may read it controls every key. */
export const adminSecret = 'keyforge-admin';

interface AdminDeps extends Omit<AdminApiDeps, 'token'> {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly listen: { readonly host: string; readonly port: number };
}

/** Starts the admin API on the loopback of the operator's Pod, for `kubectl port-forward`. The first start makes its token. */
export async function startClusterAdmin({ client, namespace, listen, ...api }: AdminDeps): Promise<AdminServer> {
  const token = await readToken(client, namespace);
  return listenAdmin(createAdminApi({ ...api, token }), listen);
}

async function readToken(client: KubeClient, namespace: string): Promise<string> {
  const at = { namespace, name: adminSecret };
  const held = tokenOf((await client.get(secrets, at))?.['data']);
  if (held !== null) return held;
  const made = randomBytes(32).toString('base64url');
  const metadata = { ...at, labels: { [managedLabel]: managedValue } };
  const secret = { apiVersion: 'v1', kind: 'Secret', type: 'Opaque', metadata, data: { token: Buffer.from(made).toString('base64') } };
  try {
    await client.create(secrets, secret);
    return made;
  } catch (error) {
    if (!(error instanceof KubeError && error.reason === 'AlreadyExists')) throw error;
  }
  const theirs = tokenOf((await client.get(secrets, at))?.['data']);
  if (theirs === null)
    throw new Error(
      `Secret ${namespace}/${adminSecret} has no item token of at least 32 characters: delete it, and the operator makes a new one at its next start`,
    );
  return theirs;
}

function tokenOf(data: unknown): string | null {
  const { token } = (data ?? {}) as { readonly token?: unknown };
  const text = typeof token === 'string' ? Buffer.from(token, 'base64').toString() : '';
  return text.length >= 32 ? text : null;
}
