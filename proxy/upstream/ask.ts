import type { PoolDocument } from '../../core/policy/documents.ts';
import { meterNothing } from '../dialect/meter.ts';
import type { Provider } from '../provider/types.ts';
import { Attempt } from './attempt.ts';
import { joinPath } from './origins.ts';
import type { Meters } from './types.ts';
import type { UpstreamDeps } from './upstream.ts';

/** A free question to a provider, beside a call. */
interface Question {
  readonly provider: Provider;
  readonly pool: PoolDocument;
  readonly path: string;
  readonly headers: readonly string[];
  readonly body: Buffer;
  readonly model: string;
  /** Chooses the credential, as it does for the call. */
  readonly affinity: string;
  /** False: this credential has been asked enough. */
  readonly mayAsk: (credential: string) => boolean;
  readonly timeoutMs: number;
}

interface Reply {
  readonly credential: string;
  /** Absent: there was no answer in time. */
  readonly status?: number;
  readonly body: Buffer | null;
}

/** For answers to requests of ours, which nobody bills. */
export const unread: Meters = { stream: () => null, large: meterNothing, whole: () => ({ usage: null }) };

/** Asks once, and reports nothing to the pools: whatever becomes of it, the credential stays as usable as it was. Null: not asked. */
export async function askOnce(deps: UpstreamDeps, question: Question): Promise<Reply | null> {
  const { pool, provider, model, affinity, path, headers, body, mayAsk, timeoutMs } = question;
  const picked = deps.pools.pick(pool.pool, model, affinity, new Set());
  if (picked.kind === 'none' || !mayAsk(picked.credential)) return null;
  const { dispatcher, prefix } = deps.origins.of(pool, provider);
  const { header, prefix: before } = provider.authentication;
  const attempt = new Attempt(deps.settings, unread, { firstByteMs: timeoutMs });
  const timer = setTimeout(() => attempt.abort('timeout'), timeoutMs);
  const credentialHeader = [header, before + picked.secret.reveal()];
  dispatcher.dispatch({ method: 'POST', path: joinPath(prefix, path), headers: [...headers, ...credentialHeader], body }, attempt);
  const result = await attempt.result;
  clearTimeout(timer);
  const { credential } = picked;
  if (result.kind === 'failed') return { credential, body: null };
  if (result.body.kind === 'whole') return { credential, status: result.status, body: result.body.bytes };
  attempt.abort('stopped');
  return { credential, status: result.status, body: null };
}
