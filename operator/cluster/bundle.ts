import type { Logger } from 'pino';
import { mutatingWebhooks } from '../kube/resources.ts';
import type { KubeClient } from '../kube/types.ts';
import { bundlePatch } from '../trust/bundle.ts';
import type { Authority } from '../trust/types.ts';

const lookMs = 10_000;

/** Has the webhook configuration trust the authority's roots for as long as `signal` is not aborted: the leader's part. */
export function keepBundle(
  client: KubeClient,
  name: string,
  authority: Authority,
  { signal, logger }: { readonly signal: AbortSignal; readonly logger: Logger },
): void {
  async function keep(): Promise<void> {
    const configuration = await client.get(mutatingWebhooks, { name });
    if (signal.aborted) return;
    if (configuration === null)
      logger.error(
        `MutatingWebhookConfiguration ${name} is missing: no Pod is injected. Install the chart's, or name another with --webhook-configuration`,
      );
    const patch = configuration === null ? [] : bundlePatch(configuration, authority.rootPem());
    if (patch.length > 0) await client.patch(mutatingWebhooks, { name }, patch);
  }
  const look = (): void => {
    keep().catch((error: unknown) =>
      logger.warn({ err: error }, 'the webhook configuration could not be looked after; tried again in ten seconds'),
    );
  };
  const stopListening = authority.onRenew(look);
  const timer = setInterval(look, lookMs);
  signal.addEventListener('abort', () => {
    stopListening();
    clearInterval(timer);
  });
  look();
}
