import type { Server } from 'node:tls';
import type { Logger } from 'pino';
import { mutatingWebhooks } from '../kube/resources.ts';
import type { JsonPatchOperation, KubeClient, KubeObject } from '../kube/types.ts';
import type { Authority } from './types.ts';

const checkMs = 10_000;

/** Has a TLS (or HTTPS) server show the authority's leaf: now, and each new one from the next handshake on. Returns how to stop. */
export function keepCertificate(server: Server, authority: Authority): () => void {
  function show(): void {
    const { certPem, keyPem } = authority.leaf();
    server.setSecureContext({ cert: certPem, key: keyPem, minVersion: 'TLSv1.2' });
  }
  show();
  return authority.onRenew(show);
}

/** Has the webhook configuration trust the authority's roots until `signal` is aborted: the leader's part. */
export function keepBundle(
  client: KubeClient,
  name: string,
  authority: Authority,
  { signal, logger }: { readonly signal: AbortSignal; readonly logger: Logger },
): void {
  async function repair(): Promise<void> {
    const configuration = await client.get(mutatingWebhooks, { name });
    if (signal.aborted) return;
    if (configuration === null)
      logger.error(
        `MutatingWebhookConfiguration ${name} is missing: no Pod is injected. Install the chart's, or name another with --webhook-configuration`,
      );
    const patch = configuration === null ? [] : bundlePatch(configuration, authority.rootPem());
    if (patch.length > 0) await client.patch(mutatingWebhooks, { name }, patch);
  }
  const check = (): void => {
    repair().catch((error: unknown) => logger.warn({ err: error }, 'could not check the webhook configuration; retrying in ten seconds'));
  };
  const stopListening = authority.onRenew(check);
  const timer = setInterval(check, checkMs);
  signal.addEventListener('abort', () => {
    stopListening();
    clearInterval(timer);
  });
  check();
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
