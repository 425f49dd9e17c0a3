import 'reflect-metadata';
import { generateKeyPairSync, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

/** A certificate with its key, both PEM. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

/** A certificate authority for one test cluster. */
export interface Authority {
  /** PEM. */
  readonly certificate: string;
  /** A serving certificate; names and addresses become SANs. */
  issueServer(commonName: string, hosts: readonly string[]): Promise<KeyPair>;
  /** A client certificate, as Kubernetes reads it: CN is the user, each O a group. */
  issueClient(user: string, groups: readonly string[]): Promise<KeyPair>;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const dayMs = 86_400_000;

/** Makes a new root and keeps its key in memory only. */
export async function createAuthority(): Promise<Authority> {
  const rootKeys = await generateKeys();
  const root = await X509CertificateGenerator.createSelfSigned({
    ...validity(),
    name: [{ CN: ['keyforge test cluster'] }],
    keys: rootKeys,
    signingAlgorithm: algorithm,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  });
  const issue = async (subject: { CN: string[]; O?: string[] }, usage: ExtendedKeyUsage, more: readonly Extension[]): Promise<KeyPair> => {
    const keys = await generateKeys();
    const certificate = await X509CertificateGenerator.create({
      ...validity(),
      subject: [subject],
      issuer: root.subject,
      publicKey: keys.publicKey,
      signingKey: rootKeys.privateKey,
      signingAlgorithm: algorithm,
      extensions: [new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true), new ExtendedKeyUsageExtension([usage]), ...more],
    });
    return { certificate: pemOf(certificate), key: await privatePem(keys.privateKey) };
  };
  return {
    certificate: pemOf(root),
    issueServer: (commonName, hosts) => {
      const names = hosts.map((host) => ({ type: isIP(host) === 0 ? ('dns' as const) : ('ip' as const), value: host }));
      return issue({ CN: [commonName] }, ExtendedKeyUsage.serverAuth, [new SubjectAlternativeNameExtension(names)]);
    },
    issueClient: (user, groups) => issue({ CN: [user], ...(groups.length > 0 && { O: [...groups] }) }, ExtendedKeyUsage.clientAuth, []),
  };
}

/** The pair by which the API server signs and checks ServiceAccount tokens. */
export function createServiceAccountKeys(): { readonly publicKey: string; readonly privateKey: string } {
  return generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

/** Backdated by a day, so that a clock which was set back in between does no harm. */
function validity(): { readonly notBefore: Date; readonly notAfter: Date } {
  return { notBefore: new Date(Date.now() - dayMs), notAfter: new Date(Date.now() + 30 * dayMs) };
}

function pemOf(certificate: X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}

async function privatePem(key: CryptoKey): Promise<string> {
  return `${PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
}
