import type { IncomingHttpHeaders } from 'node:http';
import type { Secret } from '../credentials/secret.ts';
import { meterNothing } from '../dialect/meter.ts';
import { Attempt } from './attempt.ts';
import { dispatch } from './dispatch.ts';
import type { Origins, UpstreamSettings } from './origins.ts';
import type { Meters, UpstreamCall } from './types.ts';

interface AskDeps {
  readonly origins: Origins;
  readonly settings: UpstreamSettings;
}

/** A free question to a provider, beside a call. */
interface Question extends Pick<UpstreamCall, 'pool' | 'provider'> {
  readonly secret: Secret;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers: readonly string[];
  readonly body?: Buffer;
  readonly timeoutMs: number;
}

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Null: it is too large to hold. */
  readonly body: Buffer | null;
}

const unread: Meters = { stream: () => null, large: meterNothing, whole: () => ({ usage: null }) };

/** Asks once, and reports nothing to the pools. Null: there was no whole answer in time. Never rejects. */
export async function ask({ origins, settings }: AskDeps, question: Question): Promise<Reply | null> {
  const { pool, provider, secret, timeoutMs, ...request } = question;
  const attempt = new Attempt(settings, unread, { firstByteMs: timeoutMs });
  const timer = setTimeout(() => attempt.abort('timeout'), timeoutMs);
  dispatch({ origin: origins.of(pool, provider), provider, secret }, request, attempt);
  const result = await attempt.result;
  clearTimeout(timer);
  if (result.kind === 'failed') return null;
  const { status, headers, body } = result;
  if (body.kind === 'whole') return { status, headers, body: body.bytes };
  attempt.abort('stopped');
  return { status, headers, body: null };
}
