import { X509Certificate } from 'node:crypto';

const block = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The certificates in a PEM text, in order; null if one cannot be read or there is none. */
export function readCertificates(pem: string): readonly X509Certificate[] | null {
  try {
    const found = pem.match(block)?.map((text) => new X509Certificate(text));
    return found ?? null;
  } catch {
    return null;
  }
}

/** Writes certificates as PEM: equal certificates give equal text. Ends in a line break. */
export function writeCertificates(certificates: readonly X509Certificate[]): string {
  return certificates.map((certificate) => certificate.toString()).join('');
}

/** True if a text is one or more of the known certificates and nothing else. */
export function isMadeOf(literal: string, known: readonly X509Certificate[]): boolean {
  const given = readCertificates(literal);
  if (given === null || writeCertificates(given) !== literal) return false;
  return given.every(({ fingerprint256 }) => known.some((one) => one.fingerprint256 === fingerprint256));
}
