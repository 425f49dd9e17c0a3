import type { Dispatcher } from 'undici';
import Pool from 'undici/lib/dispatcher/pool.js';
import type { PoolDocument } from '../../core/policy/documents.ts';
import type { Provider } from '../provider/types.ts';
import { Connection, type ConnectionHandler } from './connection.ts';
import { Slots } from './slots.ts';

/** Bounds of the outbound side. A pool's own `maxConnections` and `timeouts` come before the first four. */
export interface UpstreamSettings {
  /** Sockets to one origin, which are its calls at a time. One key alone gets two thirds of them. */
  readonly connections: number;
  readonly connectMs: number;
  /** Maximum wait of a call for a socket. */
  readonly slotWaitMs: number;
  /** From an attempt's start until the status of its answer. Without streaming, models think for a long time before they answer. */
  readonly firstByteMs: number;
  /** Between two bytes of an answer. Too short: it cuts models that think in the middle of a stream. */
  readonly idleMs: number;
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
  /** Maximum wait for a second opinion about a credential; calls that were rejected with it wait as long for their error. */
  readonly opinionMs: number;
}

export const defaultUpstreamSettings: UpstreamSettings = {
  connections: 384,
  connectMs: 10_000,
  slotWaitMs: 30_000,
  firstByteMs: 600_000,
  idleMs: 600_000,
  keepAliveMs: 30_000,
  // Servers on uvicorn close idle connections after 5 s by default: vllm-project/vllm#18472, llm-d/llm-d#1564.
  briefKeepAliveMs: 4000,
  headerBytes: 64 * 1024,
  // Embeddings of a hundred inputs are about 3 MB and carry their usage at the end.
  wholeBytes: 8 * 1024 * 1024,
  preambleMs: 10_000,
  preambleBytes: 1024 * 1024,
  opinionMs: 5000,
};

/** The destination of one pool's calls. */
export interface Origin {
  readonly dispatcher: { dispatch(options: Dispatcher.DispatchOptions, handler: ConnectionHandler): boolean };
  /** Prefix of the provider's paths; empty or without a final slash. */
  readonly prefix: string;
  readonly waits: Waits;
  /** The calls at the provider. */
  readonly slots: Slots;
}

/** How long an attempt waits for the provider. */
interface Waits {
  readonly firstByteMs: number;
  readonly idleMs: number;
}

/** The sockets of all endpoints. Only pool documents set endpoints; no environment variable or redirect sends a call elsewhere. */
export interface Origins {
  /** Pools share sockets if endpoint, provider and bounds of connections are the same. Throws if the endpoint is no absolute URL. */
  of(pool: PoolDocument, provider: Provider): Origin;
  /** Forgets the sockets of endpoints that none of these pools has, unless calls use them. Call it with each policy. */
  keepOnly(pools: readonly PoolDocument[]): void;
  /** Calls at all providers, and calls that wait for a socket. */
  load(): { readonly used: number; readonly waiting: number };
  /** Closes all sockets and cuts calls in flight. */
  close(): Promise<void>;
}

/** Makes HTTP/1.1 origins with keep-alive, one call a socket at a time, and Node's default TLS verification. */
export function createOrigins(settings: UpstreamSettings, monotonic: () => number): Origins {
  const sockets = new Map<string, Sockets>();
  // A document is the same object until the next policy.
  const origins = new WeakMap<PoolDocument, Origin>();
  const idOf = ({ provider, endpoint, maxConnections, timeouts }: PoolDocument): string =>
    `${provider} ${endpoint} ${maxConnections ?? settings.connections} ${timeouts?.connectMs ?? settings.connectMs}`;
  return {
    of(pool, provider) {
      const known = origins.get(pool);
      if (known !== undefined) return known;
      const url = new URL(pool.endpoint);
      const connections = pool.maxConnections ?? settings.connections;
      const { connectMs = settings.connectMs, firstByteMs = settings.firstByteMs, idleMs = settings.idleMs } = pool.timeouts ?? {};
      const id = idOf(pool);
      const isBrief = provider.closesIdleSoon === true || url.protocol === 'http:';
      const { dispatcher, slots } = sockets.get(id) ?? {
        dispatcher: openSockets(url, settings, { connections, connectMs, isBrief }),
        slots: new Slots({ total: connections, maxWaitMs: settings.slotWaitMs, monotonic }),
      };
      sockets.set(id, { dispatcher, slots });
      const origin = { dispatcher, slots, prefix: url.pathname.replace(/\/+$/, ''), waits: { firstByteMs, idleMs } };
      origins.set(pool, origin);
      return origin;
    },
    keepOnly(pools) {
      const wanted = new Set(pools.map(idOf));
      // They are not closed: a call between two attempts may still hold them. Idle sockets close by themselves.
      for (const [id, { slots }] of sockets) if (!wanted.has(id) && slots.used + slots.waiting === 0) sockets.delete(id);
    },
    load() {
      const sum = { used: 0, waiting: 0 };
      for (const { slots } of sockets.values()) {
        sum.used += slots.used;
        sum.waiting += slots.waiting;
      }
      return sum;
    },
    async close() {
      await Promise.all([...sockets.values()].map(({ dispatcher }) => dispatcher.destroy()));
    },
  };
}

interface Sockets {
  readonly dispatcher: Pool;
  readonly slots: Slots;
}

interface Bounds {
  readonly connections: number;
  readonly connectMs: number;
  /** True if the server closes idle connections soon. */
  readonly isBrief: boolean;
}

function openSockets({ origin }: URL, settings: UpstreamSettings, { connections, connectMs, isBrief }: Bounds): Pool {
  return new Pool(origin, {
    connections,
    connectTimeout: connectMs,
    // An attempt measures this itself, because it begins before the attempt has a socket.
    headersTimeout: 0,
    keepAliveTimeout: isBrief ? settings.briefKeepAliveMs : settings.keepAliveMs,
    ...(isBrief ? { keepAliveMaxTimeout: settings.briefKeepAliveMs } : {}),
    factory: (target, options: ConstructorParameters<typeof Connection>[1]) => new Connection(target, options),
    maxHeaderSize: settings.headerBytes,
    pipelining: 1,
    allowH2: false,
  });
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
