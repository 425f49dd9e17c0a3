import type { RequestOptions } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';
import { buildConnector, type Dispatcher, Pool } from 'undici';
import { defined } from '../../core/json.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { orAborted } from './timing.ts';
import { KubeUnreachable } from './types.ts';

/** Connections that calls share; each watch has its own. */
const callConnections = 4;
/** Certificates and tokens are re-read after this time, to pick up rotated files and exec credentials. */
const credentialsMs = 10_000;
/**
 * TCP keep-alive finds dead peers in 15 s + 3 × 5 s, also on a watch without events. A load balancer that terminates TCP
 * answers the probes itself: then the timeout of a call and the silence of a watch find a dead API server.
 */
const keepAlive = { enable: true, initialDelay: 15_000, interval: 5_000, count: 3 };

export interface ConnectionRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Escaped, with its query. */
  readonly path: string;
  readonly accept: string;
  readonly body?: { readonly type: string; readonly text: string };
  readonly lane: 'call' | 'watch';
  readonly signal: AbortSignal;
}

/** The API server of one kubeconfig context. */
export interface Connection {
  /** Sends a request; rejects with KubeUnreachable if no response head arrives. */
  send(request: ConnectionRequest): Promise<Dispatcher.ResponseData>;
  /** Ends every call. */
  close(): Promise<void>;
}

interface Credentials {
  readonly tls: Readonly<Record<'ca' | 'cert' | 'key' | 'servername' | 'rejectUnauthorized', unknown>>;
  readonly headers: Readonly<Record<string, string>>;
}

interface Pools {
  readonly call: Pool;
  readonly watch: Pool;
  readonly fingerprint: string;
}

/**
 * Makes a connection, not open yet. `kubeconfig` is a path, or `in-cluster` for the Pod's own ServiceAccount. Throws if it
 * cannot be read or needs an unsupported feature. client-node reads it and authenticates (certificates, tokens, exec plugins,
 * token files), but its transport, one TLS connection a call, is not used. `clock` is monotonic.
 */
export function openConnection(kubeconfig: string, clock: () => number = () => performance.now()): Connection {
  const config = new KubeConfig();
  if (kubeconfig === 'in-cluster') config.loadFromCluster();
  else config.loadFromFile(kubeconfig);
  return new PooledConnection(serverOf(config, kubeconfig), cachedCredentials(config, clock));
}

function serverOf(config: KubeConfig, kubeconfig: string): URL {
  const cluster = config.getCurrentCluster();
  if (cluster === null || !URL.canParse(cluster.server)) {
    throw new Error(`kubeconfig ${kubeconfig}: its current context names no cluster with a server URL`);
  }
  if (cluster.proxyUrl !== undefined) throw new Error(`kubeconfig ${kubeconfig}: proxy-url is not supported`);
  return new URL(cluster.server);
}

class PooledConnection implements Connection {
  readonly #origin: string;
  readonly #prefix: string;
  readonly #credentials: CredentialsCache;
  readonly #retired = new Set<Pools>();
  #pools: Pools | null = null;

  constructor(server: URL, credentials: CredentialsCache) {
    this.#origin = server.origin;
    this.#prefix = server.pathname.replace(/\/+$/, '');
    this.#credentials = credentials;
  }

  async send(request: ConnectionRequest): Promise<Dispatcher.ResponseData> {
    const { method, path, accept, body, lane, signal } = request;
    try {
      const { tls, headers } = await orAborted(signal, this.#credentials.get()); // an exec plugin may hang
      const response = await this.#poolsFor(tls)[lane].request({
        method,
        path: this.#prefix + path,
        headers: {
          ...headers,
          accept,
          'user-agent': `keyforge/${packageJson.version}`,
          ...defined({ 'content-type': body?.type }),
        },
        body: body?.text ?? null,
        signal,
        headersTimeout: 0, // the signal bounds both
        bodyTimeout: 0,
      });
      if (response.statusCode === 401) this.#credentials.forget();
      return response;
    } catch (error) {
      throw unreachable(request, error);
    }
  }

  async close(): Promise<void> {
    const all = this.#pools === null ? [...this.#retired] : [...this.#retired, this.#pools];
    await Promise.all(all.flatMap(({ call, watch }) => [call.destroy(), watch.destroy()]));
  }

  #poolsFor(tls: Credentials['tls']): Pools {
    const fingerprint = JSON.stringify(tls);
    if (this.#pools?.fingerprint === fingerprint) return this.#pools;
    if (this.#pools !== null) this.#retire(this.#pools);
    const connect = connector(tls);
    this.#pools = {
      call: new Pool(this.#origin, { connect, connections: callConnections, pipelining: 1 }),
      watch: new Pool(this.#origin, { connect, pipelining: 1 }),
      fingerprint,
    };
    return this.#pools;
  }

  /** Retires old pools: their calls and watches finish on the old certificates, and new ones do not wait for them. */
  #retire(old: Pools): void {
    this.#retired.add(old);
    const ended = Promise.allSettled([old.call.close(), old.watch.close()]);
    void ended.then(() => this.#retired.delete(old));
  }
}

/** The name of a call in errors, without its query, which may hold a selector's values. */
export function callName({ method, path }: Pick<ConnectionRequest, 'method' | 'path'>): string {
  return `${method} ${path.split('?', 1)[0]}`;
}

/** The error of a call without a response. */
export function unreachable(request: Pick<ConnectionRequest, 'method' | 'path'>, error: unknown): KubeUnreachable {
  const { name, message, code } = error as Error & { readonly code?: unknown };
  const named = typeof code === 'string' ? code : name;
  const why = { TimeoutError: 'timed out', SyntaxError: 'unreadable answer or credentials', Error: message }[named] ?? named;
  return new KubeUnreachable(`${callName(request)}: ${why}`);
}

function connector(tls: Credentials['tls']): buildConnector.connector {
  const connect = buildConnector({ ...(tls as buildConnector.BuildOptions), allowH2: false });
  return (options, callback) => {
    connect(options, (...result) => {
      result[1]?.setKeepAlive(keepAlive);
      callback(...result);
    });
  };
}

interface CredentialsCache {
  get(): Promise<Credentials>;
  /** The next `get` reads them again. */
  forget(): void;
}

function cachedCredentials(config: KubeConfig, clock: () => number): CredentialsCache {
  let current: { readonly credentials: Promise<Credentials>; readonly atMs: number } | null = null;
  const forget = () => {
    current = null;
  };
  return {
    forget,
    get() {
      const nowMs = clock();
      if (current === null || nowMs - current.atMs > credentialsMs) {
        const credentials = readCredentials(config);
        current = { credentials, atMs: nowMs };
        credentials.catch(forget);
      }
      return current.credentials;
    },
  };
}

async function readCredentials(config: KubeConfig): Promise<Credentials> {
  const options: RequestOptions = {};
  await config.applyToHTTPSOptions(options);
  const { ca, cert, key, servername, rejectUnauthorized, auth } = options;
  const headers = Object.entries(options.headers ?? {}).map(([name, value]) => [name.toLowerCase(), String(value).trim()]);
  if (auth) headers.push(['authorization', `Basic ${Buffer.from(auth).toString('base64')}`]);
  return {
    tls: { ca: text(ca), cert: text(cert), key: text(key), servername, rejectUnauthorized },
    headers: Object.fromEntries(headers),
  };
}

function text(pem: unknown): string | undefined {
  return pem === undefined || pem === null ? undefined : String(pem);
}
