import type { RenderSettings } from '../inject/types.ts';
import type { KubeClient } from '../kube/types.ts';
import { openAuthority } from '../trust/authority.ts';
import { openCertificateFiles } from '../trust/files.ts';
import type { Authority } from '../trust/types.ts';
import type { ClusterOptions } from './config.ts';

/** What Pods are injected with now. */
export function settingsOf(options: ClusterOptions, authority: Authority): RenderSettings {
  const { proxyImage, proxyImagePullPolicy, proxyResources, service, namespace } = options;
  return {
    image: proxyImage,
    imagePullPolicy: proxyImagePullPolicy,
    controlUrl: `wss://${service.name}.${namespace}.svc:${service.port}/control`,
    rootCertificate: authority.rootPem(),
    resources: proxyResources,
  };
}

/** The operator's certificate: its own, or one that somebody else renews in a folder. */
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
