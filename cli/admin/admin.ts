import { join } from 'node:path';
import { readText } from '../boot-id.ts';
import type { KeysOptions } from '../options/keys.ts';

/** A failure with a message for people. */
export class KeysFailed extends Error {
  override readonly name = 'KeysFailed';
}

/** Where the KeyForge is. */
type AdminPlace = Pick<KeysOptions, 'dataDir' | 'adminUrl'>;

interface AdminRequest {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: object;
}

/** Sends a request to the admin API of a data folder's KeyForge and returns the answer's JSON. Throws KeysFailed. */
export async function askAdmin({ dataDir, adminUrl }: AdminPlace, { method, path, body }: AdminRequest): Promise<unknown> {
  const notRunning = `no KeyForge runs on ${dataDir}: start one with \`keyforge up -f PATH --data ${dataDir}\`, or give its folder with --data`;
  const base = adminUrl ?? readText(join(dataDir, 'admin.url'))?.trim();
  const token = readText(join(dataDir, 'admin.token'))?.trim();
  if (base === undefined || token === undefined) throw new KeysFailed(notRunning);
  const target = new URL(path, base);
  const response = await fetch(target, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    redirect: 'error',
    signal: AbortSignal.timeout(10_000),
  }).catch(() => {
    throw new KeysFailed(adminUrl === undefined ? notRunning : `nothing answers at ${adminUrl}; is \`keyforge up\` running there?`);
  });
  const answer: unknown = await response.json().catch(() => null);
  if (response.ok) return answer;
  const message = (answer as { readonly error?: { readonly message?: string } } | null)?.error?.message;
  throw new KeysFailed(message ?? `${target.origin} answered ${response.status}, which is not how KeyForge answers`);
}
