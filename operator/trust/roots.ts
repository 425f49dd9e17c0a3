import { createPrivateKey, X509Certificate } from 'node:crypto';
import { defined } from '../../core/json.ts';
import { dayMs, issueRoot, type Root } from './issue.ts';
import { readCertificates } from './pem.ts';

/** How long before its end a root gets its successor. Pods injected before trust only the old root, and must be replaced within this time. */
export const overlapMs: number = 730 * dayMs;

/** The roots of an installation, a secret. Only the Secret holds them all. */
export interface Roots {
  readonly current: Root;
  /** The successor, while `current` is in its last two years. */
  readonly next?: Root;
  /** PEM of the predecessor: Pods from the overlap still have it beside the current one. */
  readonly previous?: string;
}

/** Makes the roots that are due now; returns the same object if nothing is due. */
export async function advance(roots: Roots | null, nowMs: number): Promise<Roots> {
  if (roots === null) return { current: await issueRoot(nowMs) };
  const endMs = endOf(roots.current);
  if (nowMs >= endMs) {
    const { current, next } = roots;
    return advance({ previous: current.certPem, current: next ?? (await issueRoot(nowMs)) }, nowMs);
  }
  if (roots.next !== undefined || nowMs < endMs - overlapMs) return roots;
  return { ...roots, next: await issueRoot(nowMs) };
}

/** PEM of the roots to trust at a time: one, or both during an overlap. */
export function trusted({ current, next }: Roots, nowMs: number): string {
  return `${nowMs < endOf(current) || next === undefined ? current.certPem : ''}${next?.certPem ?? ''}`;
}

/** Every root that a Pod may have. */
export function known({ previous, current, next }: Roots): readonly X509Certificate[] {
  return [previous, current.certPem, next?.certPem].filter((pem) => pem !== undefined).map((pem) => new X509Certificate(pem));
}

/** Unix time at which a root expires. */
export function endOf(root: Root): number {
  return new X509Certificate(root.certPem).validToDate.getTime();
}

/** The roots as items of a Secret, base64. */
export function encodeRoots({ current, next, previous }: Roots): Readonly<Record<string, string>> {
  const items: Readonly<Record<string, string | undefined>> = {
    'ca.crt': current.certPem,
    'ca.key': current.keyPem,
    'next-ca.crt': next?.certPem,
    'next-ca.key': next?.keyPem,
    'previous-ca.crt': previous,
  };
  return Object.fromEntries(
    Object.entries(items).flatMap(([name, text]) => (text === undefined ? [] : [[name, Buffer.from(text).toString('base64')]])),
  );
}

/** Reads what `encodeRoots` wrote. Null: there are no items. A string says what is wrong, without a value. */
export function decodeRoots(data: unknown): Roots | null | string {
  if (data === undefined || data === null) return null;
  if (typeof data !== 'object') return 'its data is not a mapping';
  const items = new Map(Object.entries(data).map(([name, value]) => [name, Buffer.from(String(value), 'base64').toString()]));
  if (items.size === 0) return null;

  const current = readRoot(items, '');
  if (typeof current === 'string') return current;
  const next = items.has('next-ca.crt') || items.has('next-ca.key') ? readRoot(items, 'next-') : undefined;
  if (typeof next === 'string') return next;
  const previous = items.get('previous-ca.crt');
  if (previous !== undefined && readCertificates(previous)?.length !== 1) return 'item previous-ca.crt is not a certificate';
  return { current, ...defined({ next, previous }) };
}

function readRoot(items: ReadonlyMap<string, string>, prefix: 'next-' | ''): Root | string {
  const certPem = items.get(`${prefix}ca.crt`) ?? '';
  const keyPem = items.get(`${prefix}ca.key`) ?? '';
  const [certificate, ...others] = readCertificates(certPem) ?? [];
  if (certificate === undefined || others.length > 0) return `item ${prefix}ca.crt is missing or not one certificate`;
  if (!certificate.ca) return `item ${prefix}ca.crt is not the certificate of an authority`;
  try {
    if (!certificate.checkPrivateKey(createPrivateKey(keyPem))) return `item ${prefix}ca.key belongs to another certificate`;
  } catch {
    return `item ${prefix}ca.key is missing or not a private key`;
  }
  return { certPem: certificate.toString(), keyPem };
}
