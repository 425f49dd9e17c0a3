import type { Logger } from 'pino';
import { mutatingWebhooks } from '../kube/resources.ts';
import type { KubeClient } from '../kube/types.ts';
import { openAuthority } from '../trust/authority.ts';
import { openCertificateFiles } from '../trust/files.ts';
import { bundlePatch } from '../trust/publish.ts';
import type { Authority } from '../trust/types.ts';
import type { ClusterOptions } from './config.ts';

const checkMs = 10_000;

/** Opens the operator's certificate: its own, or one that another program renews in a folder. */
export function openTrust(
  { certificateDir, service, namespace, logger }: ClusterOptions,
  client: KubeClient,
  clock: () => number,
): Promise<Authority> {
  const host = `${service.name}.${namespace}.svc`;
  const dnsNames = [host, `${host}.cluster.local`];
  if (certificateDir !== null) return openCertificateFiles(certificateDir, { dnsNames, clock, logger });
  return openAuthority({ client, namespace, dnsNames, clock, logger });
}

/** Makes the webhook configuration trust the authority's roots until `signal` is aborted. Only the leader does this. */
export function keepBundle(
  client: KubeClient,
  name: string,
  authority: Authority,
  { signal, logger }: { readonly signal: AbortSignal; readonly logger: Logger },
): void {
  async function update(): Promise<void> {
    const configuration = await client.get(mutatingWebhooks, { name });
    if (signal.aborted) return;
    if (configuration === null)
      logger.error(
        `MutatingWebhookConfiguration ${name} is missing, so no Pod gets a proxy. Install the chart's, or name another with --webhook-configuration`,
      );
    const patch = configuration === null ? [] : bundlePatch(configuration, authority.rootPem());
    if (patch.length > 0) await client.patch(mutatingWebhooks, { name }, patch);
  }
  const check = (): void => {
    update().catch((error: unknown) =>
      logger.warn({ err: error }, 'the operator cannot check the webhook configuration; it retries in ten seconds'),
    );
  };
  const unsubscribe = authority.onRenew(check);
  const timer = setInterval(check, checkMs);
  signal.addEventListener('abort', () => {
    unsubscribe();
    clearInterval(timer);
  });
  check();
}
