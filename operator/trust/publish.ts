import type { Server } from 'node:tls';
import type { JsonPatchOperation, KubeObject } from '../kube/types.ts';
import type { Authority } from './types.ts';

/** Makes a TLS (or HTTPS) server use the authority's leaf now, and each new leaf from the next handshake on. Returns a function that stops. */
export function keepCertificate(server: Server, authority: Authority): () => void {
  function show(): void {
    const { certPem, keyPem } = authority.leaf();
    server.setSecureContext({ cert: certPem, key: keyPem, minVersion: 'TLSv1.2' });
  }
  show();
  return authority.onRenew(show);
}

/**
 * The patch that makes every webhook of a MutatingWebhookConfiguration trust these roots; empty if all already do. Each change
 * tests the webhook's name, so that the API server rejects it if the list was re-ordered in between.
 */
export function bundlePatch(configuration: KubeObject, rootPem: string): readonly JsonPatchOperation[] {
  const webhooks = Array.isArray(configuration['webhooks']) ? (configuration['webhooks'] as readonly Webhook[]) : [];
  const caBundle = Buffer.from(rootPem).toString('base64');
  return webhooks.flatMap(({ name, clientConfig }, index): JsonPatchOperation[] =>
    clientConfig.caBundle === caBundle
      ? []
      : [
          { op: 'test', path: `/webhooks/${index}/name`, value: name },
          { op: 'add', path: `/webhooks/${index}/clientConfig/caBundle`, value: caBundle },
        ],
  );
}

/** The fields of a webhook that this code uses; the API server's schema guarantees them. */
interface Webhook {
  readonly name: string;
  readonly clientConfig: { readonly caBundle?: string };
}
