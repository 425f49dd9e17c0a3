import { createHash, timingSafeEqual } from 'node:crypto';
import type { RequestHandler } from 'express';

/** The body of every response that is not 2xx. */
export interface ApiError {
  readonly error: { readonly code: string; readonly message: string };
}

/** Makes an error body. */
export function apiError(code: string, message: string): ApiError {
  return { error: { code, message } };
}

const loopback = /^(?:localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(?::\d{1,5})?$/i;

/** Refuses requests that a web page made a browser send: a page can rebind its name to loopback, but cannot change the Host header. */
export const requireLoopbackHost: RequestHandler = (request, response, next) => {
  if (loopback.test(request.headers.host ?? '')) next();
  else response.status(403).json(apiError('forbidden_host', 'the admin API accepts only a loopback Host header, such as 127.0.0.1:8788'));
};

/** Refuses requests without the admin token. Compared by digest in constant time, so that neither bytes nor length leak. */
export function requireToken(token: string): RequestHandler {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  const wanted = digest(`Bearer ${token}`);
  return (request, response, next) => {
    if (timingSafeEqual(digest(request.headers.authorization ?? ''), wanted)) next();
    else
      response
        .status(401)
        .json(apiError('unauthorized', 'send `Authorization: Bearer TOKEN` with the text of admin.token in the data folder'));
  };
}
