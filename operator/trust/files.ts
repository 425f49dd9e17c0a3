import { createPrivateKey, type X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { errorCode } from '../files/list.ts';
import { type Watch, watchPaths } from '../files/watch.ts';
import { isMadeOf, readCertificates, writeCertificates } from './pem.ts';
import type { Authority, Leaf } from './types.ts';

interface CertificateFilesDeps {
  /** The DNS names that the certificate must have. */
  readonly dnsNames: readonly string[];
  /** Unix time in ms. */
  readonly clock: () => number;
  readonly logger: Logger;
}

const fileNames = ['tls.crt', 'tls.key', 'ca.crt'] as const;

interface Loaded {
  readonly leaf: Leaf;
  readonly roots: readonly X509Certificate[];
}

/**
 * Opens certificates that another program renews, such as cert-manager: `tls.crt` (with its chain), `tls.key` and `ca.crt` in
 * a folder. It re-reads them within a second of any change. If they are unusable, it logs an error and keeps the last good
 * state. If there is no good state at the start, it rejects and says what to do.
 */
export async function openCertificateFiles(folder: string, deps: CertificateFilesDeps): Promise<Authority> {
  let opened: FolderAuthority | null = null;
  const watch = watchPaths(
    fileNames.map((name) => join(folder, name)),
    () => opened?.reload(),
  );
  await watch.ready;
  const first = load(folder, deps.dnsNames);
  if (typeof first === 'string') {
    watch.close();
    throw new Error(first);
  }
  opened = new FolderAuthority(folder, deps, first, watch);
  return opened;
}

class FolderAuthority implements Authority {
  readonly #folder: string;
  readonly #deps: CertificateFilesDeps;
  readonly #watch: Watch;
  readonly #listeners = new Set<() => void>();
  #held: Loaded;

  constructor(folder: string, deps: CertificateFilesDeps, first: Loaded, watch: Watch) {
    this.#folder = folder;
    this.#deps = deps;
    this.#watch = watch;
    this.#held = first;
    this.#warnIfExpired();
  }

  rootPem(): string {
    return writeCertificates(this.#held.roots);
  }

  accepts(literal: string): boolean {
    return isMadeOf(literal, this.#held.roots);
  }

  leaf(): Leaf {
    return this.#held.leaf;
  }

  onRenew(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async check(): Promise<void> {
    this.reload();
  }

  close(): void {
    this.#watch.close();
  }

  reload(): void {
    const { dnsNames, logger } = this.#deps;
    const now = load(this.#folder, dnsNames);
    if (typeof now === 'string') {
      logger.error(`${now}; the previous certificate stays in use`);
      return;
    }
    if (same(now, this.#held)) return;
    this.#held = now;
    const { serial, notAfterMs } = now.leaf;
    logger.info({ serial, notAfter: new Date(notAfterMs).toISOString() }, `read the certificate in ${this.#folder}`);
    this.#warnIfExpired();
    for (const listener of this.#listeners) listener();
  }

  #warnIfExpired(): void {
    const { clock, logger } = this.#deps;
    if (clock() < this.#held.leaf.notAfterMs) return;
    logger.error(`tls.crt in ${this.#folder} has expired, so nobody accepts it; find out why it was not renewed`);
  }
}

/** Reads the files as one state; a string says what is wrong and what to do, without their contents. */
function load(folder: string, dnsNames: readonly string[]): Loaded | string {
  const [certPem, keyPem, caPem] = fileNames.map((name) => readText(join(folder, name)));
  if (certPem === undefined || keyPem === undefined || caPem === undefined)
    return `${folder} must hold tls.crt, tls.key and ca.crt, all readable; see the Certificate that fills its Secret`;
  const [leaf, ...chain] = readCertificates(certPem) ?? [];
  const roots = readCertificates(caPem);
  if (leaf === undefined) return `tls.crt in ${folder} is not a PEM certificate`;
  if (roots === null)
    return `ca.crt in ${folder} is not a PEM certificate; use an issuer that publishes its authority, such as cert-manager's CA issuer`;
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
