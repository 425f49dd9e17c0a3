import type { Dispatcher } from 'undici';
import Pool from 'undici/lib/dispatcher/pool.js';

/** Bounds of the outbound side. */
export interface UpstreamSettings {
  /** Sockets to one origin. Too low: calls queue, within their total timeout. */
  readonly connections: number;
  readonly connectTimeoutMs: number;
  /** Until the first header: models think long before they answer a call that does not stream. */
  readonly headersTimeoutMs: number;
  /** Between two bytes of an answer. */
  readonly idleTimeoutMs: number;
  /** A call with all its attempts and the whole of its answer. */
  readonly totalTimeoutMs: number;
  /** Idle sockets, where the provider names no time. Too long: they are closed under the next call, which is then charged as unknown. */
  readonly keepAliveMs: number;
  /** All headers of one answer. */
  readonly headerBytes: number;
  /** An answer that is not a stream is held whole up to here; a longer one flows, unmetered. */
  readonly wholeBytes: number;
  /** A stream's first bytes are held for so long, or so many, while an error could still be answered by another credential. */
  readonly preambleMs: number;
  readonly preambleBytes: number;
}

export const defaultUpstreamSettings: UpstreamSettings = {
  connections: 256,
  connectTimeoutMs: 10_000,
  headersTimeoutMs: 600_000,
  idleTimeoutMs: 120_000,
  totalTimeoutMs: 600_000,
  keepAliveMs: 30_000,
  headerBytes: 64 * 1024,
  // Embeddings of a hundred inputs are some 3 MB and carry their usage at the very end.
  wholeBytes: 8 * 1024 * 1024,
  preambleMs: 10_000,
  preambleBytes: 1024 * 1024,
};

/** Where one endpoint's calls go. */
export interface Origin {
  readonly dispatcher: Pick<Dispatcher, 'dispatch'>;
  /** Path below which the provider's paths lie; empty or without a slash at its end. */
  readonly prefix: string;
}

/** The sockets of all endpoints. Endpoints come from pool documents alone; no environment variable and no redirect sends a call elsewhere. */
export interface Origins {
  /** `endpoint`: an absolute URL without query; throws on anything else. */
  at(endpoint: string): Origin;
  /** Ends all sockets; calls still in flight are cut. */
  close(): Promise<void>;
}

/** HTTP/1.1 with keep-alive, one call a socket at a time, TLS verified as Node does by default. */
export function createOrigins(settings: UpstreamSettings): Origins {
  const byEndpoint = new Map<string, Origin & { readonly dispatcher: Pool }>();
  return {
    at(endpoint) {
      const known = byEndpoint.get(endpoint);
      if (known !== undefined) return known;
      const url = new URL(endpoint);
      const dispatcher = new Pool(url.origin, {
        connections: settings.connections,
        connectTimeout: settings.connectTimeoutMs,
        headersTimeout: settings.headersTimeoutMs,
        bodyTimeout: settings.idleTimeoutMs,
        keepAliveTimeout: settings.keepAliveMs,
        maxHeaderSize: settings.headerBytes,
        pipelining: 1,
        allowH2: false,
      });
      const origin = { dispatcher, prefix: url.pathname.replace(/\/+$/, '') };
      byEndpoint.set(endpoint, origin);
      return origin;
    },
    async close() {
      await Promise.all([...byEndpoint.values()].map(({ dispatcher }) => dispatcher.destroy()));
    },
  };
}

/** The full path of a call. What an endpoint ends in (`…/v1`, `…/openai/v1`) is not repeated. */
export function joinPath(prefix: string, path: string): string {
  if (prefix === '') return path;
  let repeated = 0;
  for (let end = path.indexOf('/', 1); end !== -1; end = path.indexOf('/', end + 1)) {
    if (prefix.endsWith(path.slice(0, end))) repeated = end;
  }
  return prefix + path.slice(repeated);
}
