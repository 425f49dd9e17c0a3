import { setTimeout as pause } from 'node:timers/promises';
import { parseAllDocuments } from 'yaml';
import type { ApiClient } from './api-client.ts';

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

/**
 * Server-side apply, as `kubectl apply --server-side --force-conflicts`, of an object or of YAML text with any number of documents.
 * Waits until a definition of custom resources serves. Rejects with the API server's message where one is refused.
 */
export async function apply(client: ApiClient, manifest: object | string): Promise<void> {
  const manifests = typeof manifest === 'string' ? parseAllDocuments(manifest).map((document) => document.toJS()) : [manifest];
  for (const one of manifests.filter((document) => document !== null) as Manifest[]) {
    const path = await pathOf(client, one);
    const send = () => client.request('PATCH', `${path}?fieldManager=test&force=true`, one, 'application/apply-patch+yaml');
    let answer = await send();
    // A kind that was defined this moment is not in storage yet.
    for (let tries = 0; answer.status === 429 && tries < 1200; tries++, await pause(50)) answer = await send();
    if (answer.status > 201) throw new Error(`${one.kind} ${one.metadata.name}: ${answer.status} ${answer.body.message ?? answer.body}`);
    if (one.kind === 'CustomResourceDefinition') await untilServed(client, path);
  }
}

async function pathOf(client: ApiClient, manifest: Manifest): Promise<string> {
  const root = manifest.apiVersion === 'v1' ? '/api/v1' : `/apis/${manifest.apiVersion}`;
  // Custom kinds are shown a moment after they were defined, and after the API server says that it is ready again.
  for (let tries = 0; tries < 1200; tries++, await pause(50)) {
    const known = await client.request('GET', root);
    const resources = (known.body.resources ?? []) as readonly { name: string; kind: string; namespaced: boolean }[];
    const resource = resources.find((one) => one.kind === manifest.kind && !one.name.includes('/'));
    if (resource === undefined) continue;
    const namespace = resource.namespaced ? `/namespaces/${manifest.metadata.namespace ?? 'default'}` : '';
    return `${root}${namespace}/${resource.name}/${manifest.metadata.name}`;
  }
  throw new Error(`the API server has known no ${manifest.apiVersion} ${manifest.kind} for a minute`);
}

async function untilServed(client: ApiClient, path: string): Promise<void> {
  for (let tries = 0; tries < 3000; tries++, await pause(20)) {
    const { body } = await client.request('GET', path);
    const conditions = (body.status?.conditions ?? []) as readonly { type: string; status: string }[];
    if (!conditions.some((condition) => condition.type === 'Established' && condition.status === 'True')) continue;
    // Established is said before discovery and the handler know of it.
    const { group, names, versions } = body.spec;
    const root = `/apis/${group}/${versions.at(-1).name}`;
    const listed = await client.request('GET', root);
    const found = (listed.body.resources ?? []) as readonly { name: string }[];
    if (found.some((one) => one.name === names.plural) && (await client.request('GET', `${root}/${names.plural}?limit=1`)).status === 200)
      return;
  }
  throw new Error(`${path} was not served in a minute`);
}
