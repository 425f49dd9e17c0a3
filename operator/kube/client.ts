import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Dispatcher } from 'undici';
import { defined, parseJson } from '../../core/json.ts';
import { BodyTooLarge, readBody, readLines } from './body.ts';
import { type Connection, type ConnectionRequest, callName, openConnection, unreachable } from './connection.ts';
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

/** More than a page of 500 objects of 100 kB each; of larger objects, a reflector requests fewer. */
const maxBodyBytes = 64 * 1024 * 1024;
/** etcd accepts objects of 1.5 MiB, and JSON may write each of their bytes as six (`\u003c`). */
const maxEventLength = 16 * 1024 * 1024;
const maxMessageLength = 1_000;
const fieldManager = 'keyforge';

interface Status {
  readonly kind?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly details?: { readonly name?: string; readonly retryAfterSeconds?: number };
}

type Call = Pick<ConnectionRequest, 'method' | 'path' | 'body'> & { readonly accept?: string };

interface Write extends Pick<Call, 'method' | 'path'> {
  /** Content type. */
  readonly type: string;
  readonly value: unknown;
}

/**
 * Makes a client of the API server that a kubeconfig (a path, or `in-cluster`) names. Throws if that cannot be read; connects
 * with the first call. If a call takes longer than `timeoutMs` (30,000), its wait for a connection and its body included, it
 * rejects with KubeUnreachable. Of a watch, only the wait for its head counts.
 */
export function connectKube(options: { readonly kubeconfig: string; readonly logger: Logger; readonly timeoutMs?: number }): KubeClient {
  return new PooledClient(options.logger, openConnection(options.kubeconfig), options.timeoutMs ?? 30_000);
}

/** Its methods are fields of its own, so that a spread (`{ ...client, get }`) keeps them. */
class PooledClient implements KubeClient {
  readonly #logger: Logger;
  readonly #connection: Connection;
  readonly #timeoutMs: number;

  constructor(logger: Logger, connection: Connection, timeoutMs: number) {
    this.#logger = logger;
    this.#connection = connection;
    this.#timeoutMs = timeoutMs;
  }

  readonly get: KubeClient['get'] = async (resource, at) => {
    const found = await nullIfAbsent(this.#call({ method: 'GET', path: objectPath(resource, at) }));
    return found === null ? null : typed(resource, found as KubeObject);
  };

  readonly list: KubeClient['list'] = async (resource, scope, page) => {
    const paging = page === undefined ? {} : { limit: String(page.limit), ...(page.continue && { continue: page.continue }) };
    const path = scopePath(resource, scope, paging);
    const answer = (await this.#call({ method: 'GET', path, accept: accept(scope, 'List') })) as {
      readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
      readonly items?: readonly KubeObject[] | null;
    };
    const { resourceVersion, continue: next } = answer.metadata;
    return { items: (answer.items ?? []).map((item) => typed(resource, item)), resourceVersion, ...(next && { continue: next }) };
  };

  readonly create: KubeClient['create'] = (resource, object) => {
    const path = writePath(resource, object.metadata.namespace);
    return this.#write(resource, { method: 'POST', path, type: 'application/json', value: typed(resource, object) });
  };

  readonly replace: KubeClient['replace'] = (resource, object) => {
    const path = objectPath(resource, object.metadata);
    return this.#write(resource, { method: 'PUT', path, type: 'application/json', value: typed(resource, object) });
  };

  readonly apply: KubeClient['apply'] = (resource, object, subresource) => {
    const path = `${objectPath(resource, object.metadata)}${subresource === undefined ? '' : `/${subresource}`}?force=true`;
    return this.#write(resource, { method: 'PATCH', path, type: 'application/apply-patch+yaml', value: typed(resource, object) });
  };

  readonly patch: KubeClient['patch'] = (resource, at, operations) => {
    const path = objectPath(resource, at);
    return this.#write(resource, { method: 'PATCH', path, type: 'application/json-patch+json', value: operations });
  };

  readonly remove: KubeClient['remove'] = async (resource, at, preconditions) => {
    const text = JSON.stringify({ kind: 'DeleteOptions', apiVersion: 'v1', ...defined({ preconditions }) });
    const request = { method: 'DELETE', path: objectPath(resource, at), body: { type: 'application/json', text } } as const;
    return (await nullIfAbsent(this.#call(request))) !== null;
  };

  readonly watch: KubeClient['watch'] = (resource, { resourceVersion, timeoutSeconds, ...scope }, signal) => {
    const query = { watch: 'true', allowWatchBookmarks: 'true', resourceVersion, timeoutSeconds: String(timeoutSeconds) };
    const request = { method: 'GET', path: scopePath(resource, scope, query), accept: accept(scope, '') } as const;
    return watchOnce({ connection: this.#connection, request, resource, timeoutMs: this.#timeoutMs, signal, logger: this.#logger });
  };

  readonly version: KubeClient['version'] = async () => {
    const { major, minor, gitVersion } = (await this.#call({ method: 'GET', path: '/version' })) as Record<string, string>;
    return { major: Number.parseInt(major ?? '', 10), minor: Number.parseInt(minor ?? '', 10), gitVersion: gitVersion ?? '' };
  };

  readonly close: KubeClient['close'] = () => this.#connection.close();

  #call(request: Call): Promise<unknown> {
    return callOnce(this.#connection, request, this.#timeoutMs);
  }

  async #write(resource: Resource, { method, path, type, value }: Write): Promise<KubeObject> {
    const joint = path.includes('?') ? '&' : '?';
    const body = { type, text: JSON.stringify(value) };
    return typed(resource, (await this.#call({ method, path: `${path}${joint}fieldManager=${fieldManager}`, body })) as KubeObject);
  }
}

async function callOnce(connection: Connection, request: Call, timeoutMs: number): Promise<unknown> {
  const signal = AbortSignal.timeout(timeoutMs);
  const response = await connection.send({ accept: 'application/json', ...request, lane: 'call', signal });
  const text = await readBody(response.body, maxBodyBytes).catch((error) => {
    throw error instanceof BodyTooLarge ? tooLarge(request, error) : unreachable(request, error);
  });
  if (response.statusCode < 200 || response.statusCode > 299) throw refusal(request, response, text);
  const answer = parseJson(text);
  if (answer === undefined) throw new KubeUnreachable(`${callName(request)}: the answer is not JSON`); // its text may be a Secret's: not quoted
  return answer;
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
  const head = new AbortController();
  const timer = setTimeout(() => head.abort(new DOMException('no head', 'TimeoutError')), timeoutMs);
  try {
    const sent = { accept: 'application/json', ...request, lane: 'watch', signal: AbortSignal.any([signal, head.signal]) } as const;
    const response = await connection.send(sent);
    if (response.statusCode !== 200) throw refusal(request, response, await readBody(response.body, maxBodyBytes));
    clearTimeout(timer);
    for await (const line of readLines(response.body, maxEventLength)) yield parseEvent(resource, line);
    await nextTurn(); // by then the pool has the connection back for the next watch
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof KubeError || error instanceof KubeUnreachable) throw error;
    if (error instanceof BodyTooLarge) throw tooLarge(request, error);
    logger.debug({ plural: resource.plural, error: (error as Error).name }, 'a watch broke off');
    throw unreachable(request, error);
  } finally {
    clearTimeout(timer);
  }
}

function parseEvent(resource: Resource, line: string): WatchEvent {
  const event = JSON.parse(line) as WatchEvent;
  return event.type === 'ERROR' ? event : { type: event.type, object: typed(resource, event.object) };
}

/** Sets apiVersion and kind: lists omit them in items, and metadata-only answers have the wrong ones. */
function typed<T extends KubeObject>({ group, version, kind }: Resource, object: T): T {
  return { ...object, apiVersion: group === '' ? version : `${group}/${version}`, kind };
}

/** The Accept header, without a fallback: a server that cannot omit the contents must answer 406 instead of sending them. */
function accept({ content }: Scope, suffix: 'List' | ''): string {
  return content === 'metadata' ? `application/json;as=PartialObjectMetadata${suffix};g=meta.k8s.io;v=v1` : 'application/json';
}

function scopePath(resource: Resource, scope: Scope, query: Readonly<Record<string, string>>): string {
  const parameters = new URLSearchParams(query);
  if (scope.labelSelector !== undefined) parameters.set('labelSelector', scope.labelSelector);
  if (scope.fieldSelector !== undefined) parameters.set('fieldSelector', scope.fieldSelector);
  return `${collectionPath(resource, scope.namespace)}?${parameters}`;
}

/** Null only for a missing object: a kind that the server does not know (its CRD is missing) stays an error. */
async function nullIfAbsent(answer: Promise<unknown>): Promise<unknown> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof NotFound) return null;
    throw error;
  }
}

class NotFound extends KubeError {}

function refusal(request: Call, { statusCode, headers }: Dispatcher.ResponseData, text: string): KubeError {
  const status = parseStatus(text);
  const what = (status.message ?? text).slice(0, maxMessageLength);
  const seconds = Number.parseInt(String(headers['retry-after'] ?? status.details?.retryAfterSeconds ?? ''), 10);
  const absent = statusCode === 404 && status.reason === 'NotFound' && status.details?.name !== undefined;
  const Refusal = absent ? NotFound : KubeError;
  const message = `${callName(request)}: ${statusCode} ${what}`;
  return new Refusal(statusCode, status.reason ?? '', message, Number.isNaN(seconds) ? undefined : seconds * 1_000);
}

function tooLarge(request: Call, { message }: BodyTooLarge): KubeAnswerTooLarge {
  return new KubeAnswerTooLarge(200, '', `${callName(request)}: the answer is ${message}`);
}

function parseStatus(text: string): Status {
  const status = parseJson(text) as Status | null | undefined;
  return status?.kind === 'Status' ? status : {};
}
