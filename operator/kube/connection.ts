import type { RequestOptions } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';
import { buildConnector, type Dispatcher, Pool } from 'undici';
import packageJson from '../../package.json' with { type: 'json' };
import { KubeUnreachable } from './types.ts';

/** Calls share this many connections; each watch has one of its own. */
const callConnections = 4;
/** Certificates and tokens are looked at again after this long, so that rotated files and exec credentials are picked up. */
const credentialsMs = 10_000;
/**
 * Dead peers are found in 15 s + 3 × 5 s by TCP alone, also on a watch that has nothing to say. A balancer that ends TCP answers the
 * probes itself: a dead API server behind one is found by the timeout of a call and by the silence of a watch.
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
  /** Rejects with KubeUnreachable where no answer's head came. */
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
 * Opens nothing yet. `kubeconfig` is a path, or `in-cluster` for the Pod's own ServiceAccount. Throws where it cannot be read
 * or asks for what is not supported. client-node reads it and signs in (certificates, tokens, exec plugins, token files);
 * its transport, one TLS connection a call, is not used. `clock` is monotonic.
 */
export function openConnection(kubeconfig: string, clock: () => number = () => performance.now()): Connection {
  const config = new KubeConfig();
  if (kubeconfig === 'in-cluster') config.loadFromCluster();
  else config.loadFromFile(kubeconfig);
  const cluster = config.getCurrentCluster();
  if (cluster === null || !URL.canParse(cluster.server)) {
    throw new Error(`kubeconfig ${kubeconfig}: its current context names no cluster with a server URL`);
  }
  if (cluster.proxyUrl !== undefined) throw new Error(`kubeconfig ${kubeconfig}: proxy-url is not supported`);
  const server = new URL(cluster.server);
  const prefix = server.pathname.replace(/\/+$/, '');
  const credentials = cachedCredentials(config, clock);
  const retired = new Set<Pools>();
  let pools: Pools | null = null;

  function poolsFor(tls: Credentials['tls']): Pools {
    const fingerprint = JSON.stringify(tls);
    if (pools?.fingerprint === fingerprint) return pools;
    if (pools !== null) retire(pools);
    const connect = connector(tls);
    pools = {
      call: new Pool(server.origin, { connect, connections: callConnections, pipelining: 1 }),
      watch: new Pool(server.origin, { connect, pipelining: 1 }),
      fingerprint,
    };
    return pools;
  }

  /** Calls and watches in flight finish on the old certificates; new ones do not wait for them. */
  function retire(old: Pools): void {
    retired.add(old);
    const ended = Promise.allSettled([old.call.close(), old.watch.close()]);
    void ended.then(() => retired.delete(old));
  }

  return {
    async send({ method, path, accept, body, lane, signal }) {
      try {
        const { tls, headers } = await orAborted(signal, credentials.get());
        const response = await poolsFor(tls)[lane].request({
          method,
          path: prefix + path,
          headers: {
            ...headers,
            accept,
            'user-agent': `keyforge/${packageJson.version}`,
            ...(body === undefined ? {} : { 'content-type': body.type }),
          },
          body: body?.text ?? null,
          signal,
          headersTimeout: 0, // the signal bounds both
          bodyTimeout: 0,
        });
        if (response.statusCode === 401) credentials.forget();
        return response;
      } catch (error) {
        throw unreachable(method, path, error);
      }
    },
    async close() {
      const all = pools === null ? [...retired] : [...retired, pools];
      await Promise.all(all.flatMap(({ call, watch }) => [call.destroy(), watch.destroy()]));
    },
  };
}

/** The query is left out: it may hold a selector's values. */
export function unreachable(method: string, path: string, error: unknown): KubeUnreachable {
  const { name, message, code } = error as Error & { readonly code?: unknown };
  const named = typeof code === 'string' ? code : name;
  const why = { TimeoutError: 'timed out', SyntaxError: 'unreadable answer or credentials', Error: message }[named] ?? named;
  return new KubeUnreachable(`${method} ${path.split('?', 1)[0]}: ${why}`);
}

/** An exec plugin may hang: no call waits for it longer than it may. */
function orAborted<T>(signal: AbortSignal, answer: Promise<T>): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  if (signal.aborted) abort();
  else signal.addEventListener('abort', abort);
  return Promise.race([aborted.promise, answer]).finally(() => signal.removeEventListener('abort', abort));
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

function cachedCredentials(config: KubeConfig, clock: () => number): { get(): Promise<Credentials>; forget(): void } {
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
