import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Handler } from '../server.ts';

/**
 * Lets pages of these origins call (Fetch standard, CORS): it answers their preflight, before any key is asked for, and names
 * their origin in every answer. It never allows cookies or other credentials of the browser. Empty: no page may call.
 */
export function allowOrigins(handler: Handler, origins: ReadonlySet<string>): Handler {
  if (origins.size === 0) return handler;
  return async (request, response) => {
    const { origin } = request.headers;
    if (origin === undefined || !origins.has(origin)) return handler(request, response);
    response.setHeader('access-control-allow-origin', origin);
    response.setHeader('vary', 'origin, access-control-request-headers');
    if (request.method === 'OPTIONS' && request.headers['access-control-request-method'] !== undefined)
      return answerPreflight(request, response);
    response.setHeader('access-control-expose-headers', '*');
    return handler(request, response);
  };
}

const maxAgeSeconds = 600;

function answerPreflight(request: IncomingMessage, response: ServerResponse): void {
  response.setHeader('access-control-allow-methods', 'GET, POST, DELETE');
  const asked = request.headers['access-control-request-headers'];
  if (asked !== undefined) response.setHeader('access-control-allow-headers', asked);
  response.setHeader('access-control-max-age', maxAgeSeconds);
  response.writeHead(204).end();
}
