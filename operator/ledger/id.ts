import { hash } from 'node:crypto';

/** A grant's id: the store's incarnation and 96 bits of its idempotency key, so that an ask sent twice cannot book two. */
export function grantId(incarnation: string, askId: string): string {
  return `${incarnation}.${hash('sha256', askId).slice(0, 24)}`;
}
