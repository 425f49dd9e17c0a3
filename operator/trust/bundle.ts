import type { JsonPatchOperation, KubeObject } from '../kube/types.ts';

/**
 * What makes every webhook of a MutatingWebhookConfiguration trust these roots: nothing where all do already. Each change
 * is guarded by the webhook's name, so that a list re-ordered meanwhile is refused rather than spoilt.
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
