import type { Sharers } from '../budget/shares.ts';
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
 * Who counts where keys take turns, from the VirtualKey down to the key: a sub-agent key counts as the VirtualKey that it
 * descends from, because minting keys must get nobody a larger share.
 */
export function sharersOf(document: KeyDocument): Sharers {
  const known = sharers.get(document);
  if (known !== undefined) return known;
  const { key, path } = document;
  const found: [KeyName, ...KeyName[]] = [key];
  for (const parent of path.toReversed()) {
    const [child] = found;
    if (child.charCodeAt(parent.length) !== dot || !child.startsWith(parent)) break;
    found.unshift(parent);
  }
  sharers.set(document, found);
  return found;
}

const sharers = new WeakMap<KeyDocument, Sharers>();

/** Between the names of a parent and of a sub-agent key below it. */
const dot = 0x2e;

/** Refuses a route, named by its template, that the key may not call; null: it may. */
export function checkEndpoint(document: KeyDocument, endpoint: string): Refusal | null {
  const { key, endpoints } = document;
  if (endpoints === undefined || endpoints.includes(endpoint)) return null;
  const allowed = endpoints.length === 0 ? 'none is allowed' : `allowed: ${endpoints.join(', ')}`;
  return refuse('endpoint_denied', `key ${key} may not call ${endpoint}; ${allowed}`);
}
