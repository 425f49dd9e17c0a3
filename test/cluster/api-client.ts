import { Agent, type Dispatcher, request as send } from 'undici';
import type { KeyPair } from './pki.ts';

/** The API server as one user sees it: raw JSON and raw statuses, for tests that judge both. */
export interface ApiClient {
  /**
   * One call. A body is sent as `contentType`, by default `application/json`, for PATCH `application/merge-patch+json`; a string body as it is.
   * The answer's body is parsed where it is JSON, else a string. Rejects where there was no answer.
   */
  request(method: ApiMethod, path: string, body?: unknown, contentType?: string): Promise<ApiAnswer>;
  /** A list as kubectl shows it: `columnDefinitions` and `rows`. */
  table(path: string): Promise<ApiAnswer>;
  close(): Promise<void>;
}

/** A verb of the API. */
export type ApiMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** What the API server said. */
export interface ApiAnswer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests read into arbitrary objects of the API and fail where a field is not there
  readonly body: any;
  /** The body as it came. */
  readonly text: string;
}

/** Opens a pool of connections; each call may take up to a minute. */
export function openApiClient(url: string, caPem: string, identity: KeyPair): ApiClient {
  const agent = new Agent({
    connections: 8,
    connect: { ca: caPem, cert: identity.certificate, key: identity.key },
    headersTimeout: 60_000,
    bodyTimeout: 60_000,
  });
  const call = async (path: string, options: Pick<Dispatcher.RequestOptions, 'method' | 'headers' | 'body'>): Promise<ApiAnswer> => {
    const answer = await send(`${url}${path}`, { ...options, dispatcher: agent });
    const text = await answer.body.text();
    return { status: answer.statusCode, body: parse(text), text };
  };
  return {
    request(method, path, body, contentType) {
      const type = contentType ?? (method === 'PATCH' ? 'application/merge-patch+json' : 'application/json');
      const headers = { accept: 'application/json', ...(body !== undefined && { 'content-type': type }) };
      return call(path, { method, headers, body: body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body) });
    },
    table: (path) => call(path, { method: 'GET', headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' } }),
    close: () => agent.destroy(),
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
