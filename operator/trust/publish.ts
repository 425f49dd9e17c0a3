import type { Server } from 'node:tls';
import type { JsonPatchOperation, KubeObject } from '../kube/types.ts';
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

/**
 * What makes every webhook of a MutatingWebhookConfiguration trust these roots: nothing where all do already. Each change
 * is guarded by the webhook's name, so that the API server rejects it where the list was re-ordered meanwhile.
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

/** The fields of a webhook that matter here; the API server's schema warrants them. */
interface Webhook {
  readonly name: string;
  readonly clientConfig: { readonly caBundle?: string };
}
