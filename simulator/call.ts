import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { isObject } from './dialect/read.ts';
import type { Route } from './routes.ts';
import type { Json, SimulatedUsage } from './types.ts';

/** One request as the provider saw it. */
export interface SimulatedCall {
  readonly credential: string;
  readonly method: string;
  /** Path with query. */
  readonly path: string;
  readonly model: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Status sent; 0 where nothing was. */
  status: number;
  /** Present where it was billed. */
  usage?: SimulatedUsage;
  pico: bigint;
  /** True once the answer was wholly sent. */
  finished: boolean;
  /** True where the client went away first. */
  abandoned: boolean;
}

/** A call as it begins: nothing sent, nothing billed. */
export function openCall(request: IncomingMessage, body: Buffer, model: string | undefined): SimulatedCall {
  return {
    credential: credentialOf(request.headers),
    method: request.method ?? 'GET',
    path: request.url ?? '/',
    model,
    headers: request.headers,
    body,
    status: 0,
    pico: 0n,
    finished: false,
    abandoned: false,
  };
}

/** The whole body of a request. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** A JSON object, or null where the bytes are none. */
export function parseJson(body: Buffer): Json | null {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

/** The model that a request names, in its path or its body. */
export function modelOf(route: Route, body: Json | null): string | undefined {
  if ('model' in route && route.model !== undefined) return route.model;
  return typeof body?.['model'] === 'string' ? body['model'] : undefined;
}

function credentialOf(headers: IncomingHttpHeaders): string {
  const own = headers['x-api-key'] ?? headers['x-goog-api-key'] ?? headers['api-key'];
  if (typeof own === 'string') return own;
  return /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1] ?? '';
}
