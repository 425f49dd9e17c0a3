import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Dispatcher } from 'undici';
import { BodyTooLarge, readBody, readLines } from './body.ts';
import { type Connection, type ConnectionRequest, openConnection, unreachable } from './connection.ts';
import { collectionPath, objectPath, writePath } from './paths.ts';
import {
  KubeAnswerTooLarge,
  type KubeClient,
  KubeError,
  type KubeObject,
  KubeUnreachable,
  type Resource,
  type Scope,
  type WatchEvent,
} from './types.ts';

/** A page of 500 objects of 100 kB each, and some; of larger objects, fewer are asked for. */
const mostBodyBytes = 64 * 1024 * 1024;
/** etcd takes objects of 1.5 MiB, and JSON may write each of their bytes as six (`\u003c`). */
const mostEventLength = 16 * 1024 * 1024;
const mostMessageLength = 1_000;
const fieldManager = 'keyforge';

interface Status {
  readonly kind?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly details?: { readonly name?: string; readonly retryAfterSeconds?: number };
}

type Call = Pick<ConnectionRequest, 'method' | 'path' | 'body'> & { readonly accept?: string };

/**
 * The API server that a kubeconfig (a path, or `in-cluster`) names. Throws where that cannot be read; connects with the first
 * call. A call that takes longer than `timeoutMs` (30,000), its wait for a free connection and its body included, is
 * KubeUnreachable; of a watch, only the wait for its head counts.
 */
export function connectKube(options: { readonly kubeconfig: string; readonly logger: Logger; readonly timeoutMs?: number }): KubeClient {
  const { kubeconfig, logger, timeoutMs = 30_000 } = options;
  const connection = openConnection(kubeconfig);
  const call = (request: Call) => callOnce(connection, request, timeoutMs);
  const write = async (resource: Resource, method: Call['method'], path: string, type: string, value: unknown) => {
    const joint = path.includes('?') ? '&' : '?';
    const body = { type, text: JSON.stringify(value) };
    return typed(resource, (await call({ method, path: `${path}${joint}fieldManager=${fieldManager}`, body })) as KubeObject);
  };

  return {
    get: async (resource, at) => {
      const found = await absentAs(null, call({ method: 'GET', path: objectPath(resource, at) }));
      return found === null ? null : typed(resource, found as KubeObject);
    },
    async list(resource, scope, page) {
      const paging = page === undefined ? {} : { limit: String(page.limit), ...(page.continue && { continue: page.continue }) };
      const path = scopePath(resource, scope, paging);
      const answer = (await call({ method: 'GET', path, accept: accept(scope, 'List') })) as {
        readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
        readonly items?: readonly KubeObject[] | null;
      };
      const { resourceVersion, continue: next } = answer.metadata;
      return { items: (answer.items ?? []).map((item) => typed(resource, item)), resourceVersion, ...(next && { continue: next }) };
    },
    create: (resource, object) =>
      write(resource, 'POST', writePath(resource, object.metadata.namespace), 'application/json', typed(resource, object)),
    replace: (resource, object) =>
      write(resource, 'PUT', objectPath(resource, object.metadata), 'application/json', typed(resource, object)),
    apply: (resource, object, subresource) => {
      const path = `${objectPath(resource, object.metadata)}${subresource === undefined ? '' : `/${subresource}`}?force=true`;
      return write(resource, 'PATCH', path, 'application/apply-patch+yaml', typed(resource, object));
    },
    patch: (resource, at, operations) => write(resource, 'PATCH', objectPath(resource, at), 'application/json-patch+json', operations),
    async remove(resource, at, precondition) {
      const text = JSON.stringify({ kind: 'DeleteOptions', apiVersion: 'v1', ...(precondition && { preconditions: precondition }) });
      const request = { method: 'DELETE', path: objectPath(resource, at), body: { type: 'application/json', text } } as const;
      return (await absentAs(null, call(request))) !== null;
    },
    watch(resource, { resourceVersion, timeoutSeconds, ...scope }, signal) {
      const query = { watch: 'true', allowWatchBookmarks: 'true', resourceVersion, timeoutSeconds: String(timeoutSeconds) };
      const request = { method: 'GET', path: scopePath(resource, scope, query), accept: accept(scope, '') } as const;
      return watchOnce({ connection, request, resource, timeoutMs, signal, logger });
    },
    async version() {
      const { major, minor, gitVersion } = (await call({ method: 'GET', path: '/version' })) as Record<string, string>;
      return { major: Number.parseInt(major ?? '', 10), minor: Number.parseInt(minor ?? '', 10), gitVersion: gitVersion ?? '' };
    },
    close: () => connection.close(),
  };
}

async function callOnce(connection: Connection, request: Call, timeoutMs: number): Promise<unknown> {
  const { method, path } = request;
  const signal = AbortSignal.timeout(timeoutMs);
  const response = await connection.send({ accept: 'application/json', ...request, lane: 'call', signal });
  const text = await readBody(response.body, mostBodyBytes).catch((error) => {
    throw error instanceof BodyTooLarge ? tooLarge(request, error) : unreachable(method, path, error);
  });
  if (response.statusCode < 200 || response.statusCode > 299) throw refusal(request, response, text);
  try {
    return JSON.parse(text);
  } catch {
    throw new KubeUnreachable(`${method} ${path.split('?', 1)[0]}: the answer is not JSON`); // its text may be a Secret's: not quoted
  }
}

interface Watching {
  readonly connection: Connection;
  readonly request: Call;
  readonly resource: Resource;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

async function* watchOnce({ connection, request, resource, timeoutMs, signal, logger }: Watching): AsyncGenerator<WatchEvent> {
  const { method, path } = request;
  const head = new AbortController();
  const timer = setTimeout(() => head.abort(new DOMException('no head', 'TimeoutError')), timeoutMs);
  try {
    const sent = { accept: 'application/json', ...request, lane: 'watch', signal: AbortSignal.any([signal, head.signal]) } as const;
    const response = await connection.send(sent);
    if (response.statusCode !== 200) throw refusal(request, response, await readBody(response.body, mostBodyBytes));
    clearTimeout(timer);
    for await (const line of readLines(response.body, mostEventLength)) yield parseEvent(resource, line);
    await nextTurn(); // by then the pool has the connection back, for the watch that follows
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof KubeError || error instanceof KubeUnreachable) throw error;
    if (error instanceof BodyTooLarge) throw tooLarge(request, error);
    logger.debug({ plural: resource.plural, error: (error as Error).name }, 'watch broke off');
    throw unreachable(method, path, error);
  } finally {
    clearTimeout(timer);
  }
}

function parseEvent(resource: Resource, line: string): WatchEvent {
  const event = JSON.parse(line) as WatchEvent;
  return event.type === 'ERROR' ? event : { type: event.type, object: typed(resource, event.object) };
}

/** Lists leave apiVersion and kind out of their items, and metadata-only answers name the wrong ones; readers want the kind's. */
function typed<T extends KubeObject>({ group, version, kind }: Resource, object: T): T {
  return { ...object, apiVersion: group === '' ? version : `${group}/${version}`, kind };
}

/** No fallback in the header: a server that cannot leave the contents out is to answer 406, not to send them. */
function accept({ content }: Scope, suffix: 'List' | ''): string {
  return content === 'metadata' ? `application/json;as=PartialObjectMetadata${suffix};g=meta.k8s.io;v=v1` : 'application/json';
}

function scopePath(resource: Resource, scope: Scope, query: Readonly<Record<string, string>>): string {
  const parameters = new URLSearchParams(query);
  if (scope.labelSelector !== undefined) parameters.set('labelSelector', scope.labelSelector);
  if (scope.fieldSelector !== undefined) parameters.set('fieldSelector', scope.fieldSelector);
  return `${collectionPath(resource, scope.namespace)}?${parameters}`;
}

/** Only a missing object counts: a kind that the server does not know (its CRD is gone) stays an error. */
async function absentAs<T>(absent: T, answer: Promise<unknown>): Promise<unknown | T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof NotFound) return absent;
    throw error;
  }
}

class NotFound extends KubeError {}

function refusal({ method, path }: Call, { statusCode, headers }: Dispatcher.ResponseData, text: string): KubeError {
  const status = parseStatus(text);
  const what = (status.message ?? text).slice(0, mostMessageLength);
  const seconds = Number.parseInt(String(headers['retry-after'] ?? status.details?.retryAfterSeconds ?? ''), 10);
  const absent = statusCode === 404 && status.reason === 'NotFound' && status.details?.name !== undefined;
  const Refusal = absent ? NotFound : KubeError;
  const message = `${method} ${path.split('?', 1)[0]}: ${statusCode} ${what}`;
  return new Refusal(statusCode, status.reason ?? '', message, Number.isNaN(seconds) ? undefined : seconds * 1_000);
}

function tooLarge({ method, path }: Call, { message }: BodyTooLarge): KubeAnswerTooLarge {
  return new KubeAnswerTooLarge(200, '', `${method} ${path.split('?', 1)[0]}: the answer is ${message}`);
}

function parseStatus(text: string): Status {
  try {
    const status = JSON.parse(text) as Status | null;
    return status?.kind === 'Status' ? status : {};
  } catch {
    return {};
  }
}
