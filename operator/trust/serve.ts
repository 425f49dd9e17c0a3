import type { Server } from 'node:tls';
import type { Authority } from './types.ts';

/** Has a TLS (or HTTPS) server show the authority's leaf: now, and each new one from the next handshake on. Returns how to stop. */
export function keepCertificate(server: Server, authority: Authority): () => void {
  function show(): void {
    const { certPem, keyPem } = authority.leaf();
    server.setSecureContext({ cert: certPem, key: keyPem, minVersion: 'TLSv1.2' });
  }
  show();
  return authority.onRenew(show);
}
