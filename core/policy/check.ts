import { type Refusal, refuse } from '../errors.ts';
import type { KeyName } from '../names.ts';
import type { KeyDocument } from './documents.ts';

/** Refuses a suspended or expired key; null: the key may be used. Suspension comes before expiry. */
export function checkKey(document: KeyDocument, nowMs: number): Refusal | null {
  const { key, suspendedBy, expiresAtMs } = document;
  if (suspendedBy !== undefined) {
    const by = suspendedBy === key ? '' : ` through its ancestor ${suspendedBy}`;
    return refuse('key_revoked', `key ${key} is suspended${by}; its owner can set spec.suspended to false`);
  }
  if (expiresAtMs !== undefined && nowMs >= expiresAtMs) {
    return refuse('key_expired', `key ${key} expired at ${new Date(expiresAtMs).toISOString()}; ask its owner for a new one`);
  }
  return null;
}

/** True if dollars limit the key: a call without a bound is then refused. */
export function isCapped({ smallestCapNano, perRequest }: KeyDocument): boolean {
  return smallestCapNano !== undefined || perRequest.usdNano !== undefined;
}

/**
 * Who counts where keys take turns: a sub-agent key counts as the VirtualKey that it descends from, because minting keys must
 * get nobody a larger share.
 */
export function sharerOf({ key, path }: KeyDocument): KeyName {
  let sharer = key;
  for (let depth = path.length - 1; depth >= 0; depth -= 1) {
    const parent = path[depth];
    if (parent === undefined || sharer.charCodeAt(parent.length) !== dot || !sharer.startsWith(parent)) return sharer;
    sharer = parent;
  }
  return sharer;
}

/** Between the names of a parent and of a sub-agent key below it. */
const dot = 0x2e;

/** Refuses a route, named by its template, that the key may not call; null: it may. */
export function checkEndpoint(document: KeyDocument, endpoint: string): Refusal | null {
  const { key, endpoints } = document;
  if (endpoints === undefined || endpoints.includes(endpoint)) return null;
  const allowed = endpoints.length === 0 ? 'none is allowed' : `allowed: ${endpoints.join(', ')}`;
  return refuse('endpoint_denied', `key ${key} may not call ${endpoint}; ${allowed}`);
}
