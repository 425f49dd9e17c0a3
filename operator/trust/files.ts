import { createPrivateKey, type X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { errorCode } from '../files/list.ts';
import { watchPaths } from '../files/watch.ts';
import { isMadeOf, readCertificates, writeCertificates } from './pem.ts';
import type { Authority, Leaf } from './types.ts';

export interface CertificateFilesDeps {
  /** Names that the certificate must be for. */
  readonly dnsNames: readonly string[];
  /** Unix time in ms. */
  readonly clock: () => number;
  readonly logger: Logger;
}

interface Loaded {
  readonly leaf: Leaf;
  readonly roots: readonly X509Certificate[];
}

/**
 * Certificates that somebody else renews, cert-manager for one: `tls.crt` (with its chain), `tls.key` and `ca.crt` in a
 * folder, read again within a second of any change. What cannot be used is logged, and the last good state serves on.
 * Rejects where there is none to begin with, saying what to do.
 */
export async function openCertificateFiles(folder: string, { dnsNames, clock, logger }: CertificateFilesDeps): Promise<Authority> {
  const listeners = new Set<() => void>();
  const watch = watchPaths(
    [...fileNames].map((name) => join(folder, name)),
    reload,
  );
  await watch.ready;
  const first = load(folder, dnsNames);
  if (typeof first === 'string') {
    watch.close();
    throw new Error(first);
  }
  let held = first;
  warnOfEnd(held);

  function reload(): void {
    const now = load(folder, dnsNames);
    if (typeof now === 'string') {
      logger.error(`${now}; the certificate read before stays in use`);
      return;
    }
    if (same(now, held)) return;
    held = now;
    logger.info({ serial: held.leaf.serial, notAfter: new Date(held.leaf.notAfterMs).toISOString() }, `read the certificate in ${folder}`);
    warnOfEnd(held);
    for (const listener of listeners) listener();
  }

  function warnOfEnd({ leaf }: Loaded): void {
    if (clock() >= leaf.notAfterMs) logger.error(`tls.crt in ${folder} has ended: nobody accepts it; see why it was not renewed`);
  }

  return {
    rootPem: () => writeCertificates(held.roots),
    accepts: (literal) => isMadeOf(literal, held.roots),
    leaf: () => held.leaf,
    onRenew(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    check: async () => reload(),
    close: () => watch.close(),
  };
}

const fileNames = ['tls.crt', 'tls.key', 'ca.crt'] as const;

/** The files as one state; a string says what is wrong and what to do, without any of their contents. */
function load(folder: string, dnsNames: readonly string[]): Loaded | string {
  const [certPem, keyPem, caPem] = fileNames.map((name) => readText(join(folder, name)));
  if (certPem === undefined || keyPem === undefined || caPem === undefined)
    return `${folder} must hold tls.crt, tls.key and ca.crt, all readable; see the Certificate that fills its Secret`;
  const [leaf, ...chain] = readCertificates(certPem) ?? [];
  const roots = readCertificates(caPem);
  if (leaf === undefined) return `tls.crt in ${folder} is no PEM certificate`;
  if (roots === null)
    return `ca.crt in ${folder} is no PEM certificate; use an issuer that tells its authority, such as cert-manager's CA issuer`;
  if (!hasKey(leaf, keyPem)) return `tls.key in ${folder} is not the private key of tls.crt`;
  const missing = dnsNames.filter((name) => leaf.checkHost(name) === undefined);
  if (missing.length > 0) return `tls.crt in ${folder} is not for ${missing.join(', ')}; add it to the Certificate's dnsNames`;
  const issued = [leaf, ...chain].some((one) => roots.some((root) => one.checkIssued(root) && one.verify(root.publicKey)));
  if (!issued) return `tls.crt in ${folder} was not issued under ca.crt`;
  return { leaf: { certPem, keyPem, serial: leaf.serialNumber, notAfterMs: leaf.validToDate.getTime() }, roots };
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'unknown error') throw error;
    return undefined;
  }
}

function hasKey(certificate: X509Certificate, keyPem: string): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(keyPem));
  } catch {
    return false;
  }
}

function same(a: Loaded, b: Loaded): boolean {
  return a.leaf.certPem === b.leaf.certPem && a.leaf.keyPem === b.leaf.keyPem && writeCertificates(a.roots) === writeCertificates(b.roots);
}
