import type { Secret } from '../credentials/secret.ts';
import type { Provider } from '../provider/types.ts';
import type { Attempt } from './attempt.ts';
import { joinPath, type Origin } from './origins.ts';

/** Where a request goes, and with which credential. */
interface Destination {
  readonly origin: Origin;
  readonly provider: Provider;
  readonly secret: Secret;
}

interface UpstreamRequest {
  readonly method: 'GET' | 'POST';
  /** With its query. */
  readonly path: string;
  /** Flat, without the credential. */
  readonly headers: readonly string[];
  readonly body?: Buffer;
}

/** The only place that reveals a credential. Only the pool's document decides where it is sent. */
export function dispatch(
  { origin, provider, secret }: Destination,
  { path, headers, ...request }: UpstreamRequest,
  attempt: Attempt,
): void {
  const { dispatcher, prefix, waits } = origin;
  const { header, prefix: before } = provider.authentication;
  const options = { path: joinPath(prefix, path), headers: [...headers, header, before + secret.reveal()], bodyTimeout: waits.idleMs };
  dispatcher.dispatch({ ...request, ...options }, attempt);
}
