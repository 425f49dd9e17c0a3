import type { Dispatcher } from 'undici';
import Pool from 'undici/lib/dispatcher/pool.js';
import type { Provider } from '../provider/types.ts';
import { Connection, type ConnectionHandler } from './connection.ts';

/** Bounds of the outbound side. */
export interface UpstreamSettings {
  /** Sockets to one origin. If too low, calls queue, within their total timeout. */
  readonly connections: number;
  readonly connectTimeoutMs: number;
  /** Until the first header. Without streaming, models think for a long time before they answer. */
  readonly headersTimeoutMs: number;
  /** Between two bytes of an answer. */
  readonly idleTimeoutMs: number;
  /** A whole call, with all attempts and its answer. */
  readonly totalTimeoutMs: number;
  /** Idle sockets, if the provider names no time. If too long, the provider closes one under the next call, which is charged as unknown. */
  readonly keepAliveMs: number;
  /** The longest for idle sockets to servers that close them soon, whatever they name. */
  readonly briefKeepAliveMs: number;
  /** All headers of one answer. */
  readonly headerBytes: number;
  /** An answer that is not a stream is held whole up to this size; a longer one is metered as it is forwarded. */
  readonly wholeBytes: number;
  /** Maximum hold of a stream's first bytes, in time and size, during which another credential can still replace an error. */
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
  // Servers on uvicorn close idle connections after 5 s by default: vllm-project/vllm#18472, llm-d/llm-d#1564.
  briefKeepAliveMs: 4000,
  headerBytes: 64 * 1024,
  // Embeddings of a hundred inputs are about 3 MB and carry their usage at the end.
  wholeBytes: 8 * 1024 * 1024,
  preambleMs: 10_000,
  preambleBytes: 1024 * 1024,
};

/** The destination of one endpoint's calls. */
export interface Origin {
  readonly dispatcher: { dispatch(options: Dispatcher.DispatchOptions, handler: ConnectionHandler): boolean };
  /** Prefix of the provider's paths; empty or without a final slash. */
  readonly prefix: string;
}

/** The sockets of all endpoints. Only pool documents set endpoints; no environment variable or redirect sends a call elsewhere. */
export interface Origins {
  /** `endpoint`: an absolute URL without query; throws on anything else. */
  at(endpoint: string, provider: Provider): Origin;
  /** Closes all sockets and cuts calls in flight. */
  close(): Promise<void>;
}

/** Makes HTTP/1.1 origins with keep-alive, one call a socket at a time, and Node's default TLS verification. */
export function createOrigins(settings: UpstreamSettings): Origins {
  const byId = new Map<string, Origin & { readonly dispatcher: Pool }>();
  return {
    at(endpoint, provider) {
      const id = `${provider.kind} ${endpoint}`;
      const known = byId.get(id);
      if (known !== undefined) return known;
      const url = new URL(endpoint);
      const isBrief = provider.closesIdleSoon === true || url.protocol === 'http:';
      const dispatcher = new Pool(url.origin, {
        connections: settings.connections,
        connectTimeout: settings.connectTimeoutMs,
        headersTimeout: settings.headersTimeoutMs,
        bodyTimeout: settings.idleTimeoutMs,
        keepAliveTimeout: isBrief ? settings.briefKeepAliveMs : settings.keepAliveMs,
        ...(isBrief ? { keepAliveMaxTimeout: settings.briefKeepAliveMs } : {}),
        factory: (origin, options: ConstructorParameters<typeof Connection>[1]) => new Connection(origin, options),
        maxHeaderSize: settings.headerBytes,
        pipelining: 1,
        allowH2: false,
      });
      const origin = { dispatcher, prefix: url.pathname.replace(/\/+$/, '') };
      byId.set(id, origin);
      return origin;
    },
    async close() {
      await Promise.all([...byId.values()].map(({ dispatcher }) => dispatcher.destroy()));
    },
  };
}

/** The full path of a call. It does not repeat the end of an endpoint (`…/v1`, `…/openai/v1`). */
export function joinPath(prefix: string, path: string): string {
  if (prefix === '') return path;
  let repeated = 0;
  for (let end = path.indexOf('/', 1); end !== -1; end = path.indexOf('/', end + 1)) {
    if (prefix.endsWith(path.slice(0, end))) repeated = end;
  }
  return prefix + path.slice(repeated);
}
