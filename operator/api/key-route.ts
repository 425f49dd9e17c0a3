import type { RequestHandler } from 'express';
import type { KeyName } from '../../core/names.ts';
import { type ApiError, apiError } from './guard.ts';

/** A route below a key. */
export type KeyRoute = RequestHandler<{ namespace: string; name: string }>;

export function unknownKey(key: KeyName): ApiError {
  return apiError('not_found', `no key ${key}; GET /v1/keys lists them`);
}
