import 'reflect-metadata';
import { createPrivateKey, X509Certificate as NodeCertificate, webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import type { Leaf } from './types.ts';

export const dayMs = 86_400_000;
/** How long a root lives: 3,650 days. */
export const rootLifeMs: number = 3650 * dayMs;
/** How long a leaf lives; it is renewed at two thirds. */
export const leafLifeMs: number = 30 * dayMs;
/** Clocks of other machines may be behind by this much. */
const skewMs = 3_600_000;

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const certifies = new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true);

/** A root certificate and its key; `keyPem` (PKCS #8) is a secret. */
export interface Root {
  readonly certPem: string;
  readonly keyPem: string;
}

/** Makes a new root, ECDSA P-256. Its name differs from every other root's, so that a verifier never confuses them. */
export async function issueRoot(nowMs: number): Promise<Root> {
  const keys = await generate();
  const name = `CN=KeyForge root ${new Date(nowMs).toISOString().slice(0, 10)} ${Buffer.from(webcrypto.getRandomValues(new Uint8Array(4))).toString('hex')}`;
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name,
    keys,
    notBefore: new Date(nowMs - skewMs),
    notAfter: new Date(nowMs + rootLifeMs),
    signingAlgorithm: algorithm,
    extensions: [
      // One CA may be below it: the next root, which it certifies.
      new BasicConstraintsExtension(true, 1, true),
      certifies,
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certPem: canonical(certificate), keyPem: await privatePem(keys.privateKey) };
}

/** Makes the next root's certificate as an intermediate of the current root. With it in the chain, trust in either root accepts a leaf of the next. */
export async function crossSign(next: Root, by: Root): Promise<string> {
  const root = new X509Certificate(next.certPem);
  return canonical(
    await under(by, {
      subject: root.subject,
      publicKey: await root.publicKey.export(),
      notBefore: root.notBefore,
      notAfter: new X509Certificate(by.certPem).notAfter,
      extensions: [new BasicConstraintsExtension(true, 0, true), certifies, await SubjectKeyIdentifierExtension.create(root.publicKey)],
    }),
  );
}

/** Makes a leaf for TLS servers, ECDSA P-256, signed by `root`; it ends no later than `root`. `between` follows it in the chain. */
export async function issueLeaf(dnsNames: readonly string[], root: Root, between: string, nowMs: number): Promise<Leaf> {
  const keys = await generate();
  const end = Math.min(nowMs + leafLifeMs, new X509Certificate(root.certPem).notAfter.getTime());
  const certificate = canonical(
    await under(root, {
      subject: 'CN=keyforge-operator',
      publicKey: keys.publicKey,
      notBefore: new Date(nowMs - skewMs),
      notAfter: new Date(end),
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        new SubjectAlternativeNameExtension(dnsNames.map((value) => ({ type: 'dns', value }))),
        await SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    }),
  );
  const { serialNumber, validToDate } = new NodeCertificate(certificate);
  return {
    certPem: certificate + between,
    keyPem: await privatePem(keys.privateKey),
    serial: serialNumber,
    notAfterMs: validToDate.getTime(),
  };
}

interface Request {
  readonly subject: string;
  readonly publicKey: webcrypto.CryptoKey;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly extensions: readonly Extension[];
}

async function under(root: Root, { extensions, ...request }: Request): Promise<X509Certificate> {
  const issuer = new X509Certificate(root.certPem);
  return X509CertificateGenerator.create({
    ...request,
    issuer: issuer.subject,
    signingKey: await privateKey(root.keyPem),
    signingAlgorithm: algorithm,
    extensions: [...extensions, await AuthorityKeyIdentifierExtension.create(issuer.publicKey)],
  });
}

function generate(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

async function privatePem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ format: 'pem', type: 'pkcs8' }).toString();
}

function privateKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' });
  return webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']);
}

function canonical(certificate: X509Certificate): string {
  return new NodeCertificate(Buffer.from(certificate.rawData)).toString();
}
