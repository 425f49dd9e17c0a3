import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBody } from './body.ts';
import type { KubeObject, Resource } from './types.ts';

/** The fault of one request. */
export type Fault =
  | 'reset'
  /** The request is never answered. */
  | 'hang'
  /** A watch sends its head, then nothing, as if the peer had crashed. */
  | 'mute'
  | { readonly status: number; readonly retryAfter?: string; readonly text?: string }
  | { readonly delayMs: number };

export interface FakeRequest {
  readonly atMs: number;
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** A small API server on a real socket: objects of any kind, history, watches, bookmarks, and faults. */
export interface FakeApi {
  readonly kubeconfig: string;
  readonly requests: FakeRequest[];
  /** Connections opened so far. */
  connections(): number;
  /** Called for each request. */
  fault: (request: FakeRequest) => Fault | undefined;
  /** How a forgotten version is refused. */
  goneAs: 'status' | 'stream';
  put(resource: Resource, object: KubeObject): KubeObject;
  drop(resource: Resource, place: { readonly namespace?: string; readonly name: string }): void;
  /** Forgets the history: a watch from before now is 410. */
  compact(): void;
  /** Sends a line to every open watch, without checks. */
  say(event: unknown): void;
  /** Ends every connection. */
  cut(): void;
  close(): Promise<void>;
}

interface Change {
  readonly kind: string;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: KubeObject;
  readonly version: number;
}

interface Watcher {
  readonly response: ServerResponse;
  readonly target: Target;
  readonly query: URLSearchParams;
}

interface Target {
  readonly kind: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
}

export interface FakeApiOptions {
  readonly bookmarkMs?: number;
  readonly tls?: {
    readonly cert: string;
    readonly key: string;
    readonly ca: string;
    readonly clientCert: string;
    readonly clientKey: string;
  };
}

export async function startFakeApi({ bookmarkMs = 20, tls }: FakeApiOptions = {}): Promise<FakeApi> {
  const folder = mkdtempSync(join(tmpdir(), 'fake-api-'));
  const kinds = new Map<string, Map<string, KubeObject>>();
  const sockets = new Set<Socket>();
  const watchers = new Set<Watcher>();
  /** The rest of each paged list, as of its first page, by the token of the next page. */
  const rests = new Map<string, { readonly version: number; readonly objects: readonly KubeObject[] }>();
  let history: Change[] = [];
  let version = 100;
  let compacted = 0;
  let opened = 0;

  const of = (kind: string) => kinds.get(kind) ?? kinds.set(kind, new Map()).get(kind) ?? new Map<string, KubeObject>();

  function change(kind: string, type: Change['type'], object: KubeObject): KubeObject {
    version += 1;
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } };
    const key = keyOf(object.metadata);
    if (type === 'DELETED') of(kind).delete(key);
    else of(kind).set(key, stored);
    history.push({ kind, type, object: stored, version });
    for (const watcher of watchers) report(watcher, { kind, type, object: stored, version });
    return stored;
  }

  function put(kind: string, object: KubeObject): KubeObject {
    const old = of(kind).get(keyOf(object.metadata));
    const uid = old?.metadata.uid ?? `uid-${version}`;
    return change(kind, old === undefined ? 'ADDED' : 'MODIFIED', { ...object, metadata: { ...object.metadata, uid } });
  }

  function report({ response, target, query }: Watcher, { kind, type, object }: Change): void {
    if (kind === target.kind && within(target, query, object))
      response.write(`${JSON.stringify({ type, object: shape(object, response) })}\n`);
  }

  const bookmarks = setInterval(() => {
    const object = { metadata: { resourceVersion: String(version) } };
    for (const { response } of watchers) response.write(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
  }, bookmarkMs);

  function watch(target: Target, query: URLSearchParams, response: ServerResponse, fault: Fault | undefined): void {
    const from = Number(query.get('resourceVersion'));
    const gone = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' };
    if (from < compacted && api.goneAs === 'status') {
      reply(response, 410, gone);
      return;
    }
    response.writeHead(200).flushHeaders();
    if (fault === 'mute') return;
    if (from < compacted) return void response.end(`${JSON.stringify({ type: 'ERROR', object: gone })}\n`);
    const watcher = { response, target, query };
    for (const past of history) if (past.version > from) report(watcher, past);
    watchers.add(watcher);
    response.once('close', () => watchers.delete(watcher));
    setTimeout(() => response.end(), Number(query.get('timeoutSeconds')) * 1_000).unref();
  }

  function list(target: Target, query: URLSearchParams, response: ServerResponse): void {
    const all = [...of(target.kind).values()].filter((object) => within(target, query, object));
    const rest = rests.get(query.get('continue') ?? '') ?? { version, objects: all };
    const most = Number(query.get('limit') ?? rest.objects.length);
    const more = rest.objects.length > most ? { continue: String(rests.size + 1) } : {};
    if (more.continue !== undefined) rests.set(more.continue, { ...rest, objects: rest.objects.slice(most) });
    const items = rest.objects.slice(0, most).map((object) => shape(object, response));
    reply(response, 200, { metadata: { resourceVersion: String(rest.version), ...more }, items });
  }

  function write(request: FakeRequest, target: Target, response: ServerResponse): void {
    const { method } = request;
    const sent = JSON.parse(request.body) as KubeObject;
    const name = target.name ?? sent.metadata.name;
    const old = of(target.kind).get(keyOf({ name, ...(target.namespace && { namespace: target.namespace }) }));
    const applies = request.headers['content-type'] === 'application/apply-patch+yaml';
    const problem = applies ? undefined : problemOf(method, sent, old);
    if (problem !== undefined) refuse(response, problem === 'NotFound' ? 404 : 409, problem, name);
    else if (method === 'DELETE' && old !== undefined) reply(response, 200, change(target.kind, 'DELETED', old));
    else reply(response, 200, put(target.kind, Array.isArray(sent) && old !== undefined ? patched(old, sent) : sent));
  }

  /** True if the fault was the whole answer. */
  async function isAnswered(fault: Fault | undefined, { socket }: IncomingMessage, response: ServerResponse): Promise<boolean> {
    if (fault === 'reset') socket.resetAndDestroy();
    if (fault === 'hang' || fault === 'reset') return true;
    if (typeof fault !== 'object') return false;
    if ('delayMs' in fault) {
      await new Promise((resolve) => setTimeout(resolve, fault.delayMs));
      return false;
    }
    if (fault.retryAfter !== undefined) response.setHeader('retry-after', fault.retryAfter);
    response.writeHead(fault.status).end(fault.text ?? '');
    return true;
  }

  async function answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams: query } = new URL(incoming.url ?? '', 'http://x');
    const { method = '', headers } = incoming;
    const body = await readBody(incoming, 1e9).catch(() => '');
    const request = { atMs: performance.now(), method, path: pathname, query, headers, body };
    api.requests.push(request);
    const fault = api.fault(request);
    if (await isAnswered(fault, incoming, response)) return;
    if (pathname === '/version') return reply(response, 200, { major: '1', minor: '37+', gitVersion: 'v1.37.1' });
    const target = targetOf(pathname);
    if (method !== 'GET') return write(request, target, response);
    if (query.get('watch') === 'true') return watch(target, query, response, fault);
    if (target.name === undefined) return list(target, query, response);
    const found = of(target.kind).get(keyOf({ name: target.name, ...(target.namespace && { namespace: target.namespace }) }));
    return found === undefined ? refuse(response, 404, 'NotFound', target.name) : reply(response, 200, found);
  }

  const handle = (incoming: IncomingMessage, response: ServerResponse) => void answer(incoming, response);
  const server: Server =
    tls === undefined ? createServer(handle) : createTlsServer({ ...tls, requestCert: true, rejectUnauthorized: true }, handle);
  server.on(tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
    opened += 1;
    sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const kubeconfig = join(folder, 'kubeconfig');
  writeFileSync(kubeconfig, JSON.stringify(config((server.address() as AddressInfo).port, tls)));
  const api: FakeApi = {
    kubeconfig,
    requests: [],
    connections: () => opened,
    fault: () => undefined,
    goneAs: 'status',
    put: (resource, object) => put(kindOf(resource), object),
    drop: (resource, place) => {
      const object = of(kindOf(resource)).get(keyOf(place));
      if (object !== undefined) change(kindOf(resource), 'DELETED', object);
    },
    compact: () => {
      version += 1;
      compacted = version;
      history = [];
    },
    say: (event) => {
      for (const { response } of watchers) response.write(`${typeof event === 'string' ? event : JSON.stringify(event)}\n`);
    },
    cut: () => {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    async close() {
      clearInterval(bookmarks);
      for (const socket of sockets) socket.destroy();
      server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return api;
}

function config(port: number, tls: FakeApiOptions['tls']): object {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const cluster =
    tls === undefined
      ? { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true }
      : { server: `https://127.0.0.1:${port}`, 'certificate-authority-data': base64(tls.ca) };
  const user =
    tls === undefined
      ? { token: 'fake-token' }
      : { 'client-certificate-data': base64(tls.clientCert), 'client-key-data': base64(tls.clientKey) };
  return {
    'current-context': 'c',
    clusters: [{ name: 'c', cluster }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
  };
}

const pathPattern = /^\/(?:api|apis\/([^/]+))\/([^/]+)(?:\/namespaces\/([^/]+))?\/([^/]+)(?:\/([^/]+))?(?:\/status)?$/;

function targetOf(path: string): Target {
  const [, group = '', version, namespace, plural, name] = pathPattern.exec(path) ?? [];
  return { kind: `${group}/${version}/${plural}`, namespace, name };
}

function kindOf({ group, version, plural }: Resource): string {
  return `${group}/${version}/${plural}`;
}

function keyOf({ namespace = '', name }: { readonly namespace?: string; readonly name: string }): string {
  return `${namespace}/${name}`;
}

function within({ namespace }: Target, query: URLSearchParams, { metadata }: KubeObject): boolean {
  const [label = '', value] = (query.get('labelSelector') ?? '').split('=');
  return (namespace === undefined || metadata.namespace === namespace) && (value === undefined || metadata.labels?.[label] === value);
}

/** Reduces to metadata, if the request says so. */
function shape(object: KubeObject, { req }: ServerResponse): object {
  return req.headers.accept?.includes('PartialObjectMetadata') ? { kind: 'PartialObjectMetadata', metadata: object.metadata } : object;
}

function problemOf(method: string, sent: KubeObject, old: KubeObject | undefined): string | undefined {
  if (method === 'POST') return old === undefined ? undefined : 'AlreadyExists';
  if (old === undefined) return 'NotFound';
  return method === 'PUT' && sent.metadata.resourceVersion !== old.metadata.resourceVersion ? 'Conflict' : undefined;
}

/** Top-level members only: no test needs more. */
function patched(old: KubeObject, operations: readonly { readonly path: string; readonly value: unknown }[]): KubeObject {
  return { ...old, ...Object.fromEntries(operations.map(({ path, value }) => [path.slice(1), value])) };
}

function refuse(response: ServerResponse, status: number, reason: string, name: string): void {
  reply(response, status, { kind: 'Status', reason, message: `${name}: ${reason}`, details: { name } });
}

function reply(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}
