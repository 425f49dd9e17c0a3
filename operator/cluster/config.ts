import type { Logger } from 'pino';
import type { RenderSettings } from '../inject/types.ts';

/** The options of a cluster's operator. */
export interface ClusterOptions {
  /** A path, or `in-cluster`. */
  readonly kubeconfig: string;
  /** The operator's own namespace, with vaults, certificates and Lease. */
  readonly namespace: string;
  /** Folder of `keyforge.db` and `root.key`. It must exist, be writable, and outlive the Pod. */
  readonly dataDir: string;
  readonly listen: { readonly host: string; readonly port: number };
  readonly metricsListen: { readonly host: string; readonly port: number };
  /** On the Pod's loopback only: anybody who reaches the admin API and may read its token controls every key. */
  readonly adminListen: { readonly host: string; readonly port: number };
  /** The Service in front of `listen`. Its name is in the certificate and in every injected proxy. */
  readonly service: { readonly name: string; readonly port: number };
  /** The MutatingWebhookConfiguration whose caBundle the operator maintains; it must exist. */
  readonly webhookConfiguration: string;
  /** Folder of `tls.crt`, `tls.key` and `ca.crt`, which another program renews; null: the operator makes and renews its own. */
  readonly certificateDir: string | null;
  /** The operator reads ProviderPools and their Secrets only in these namespaces. */
  readonly poolNamespaces: readonly string[];
  readonly proxyImage: string;
  /** `sha256:…` of the images that may hold credentials; empty: any image, for development. */
  readonly proxyImageDigests: readonly string[];
  readonly proxyImagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  /** The resources of every proxy injected from now on. With too little memory, the kernel kills it during calls. */
  readonly proxyResources: RenderSettings['resources'];
  /** The ServiceAccount, in its own namespace, of the proxies that serve keys delivered to the gateway; null: none. */
  readonly gatewayServiceAccount: string | null;
  /** The URL of those proxies for callers, without a path; null: token Secrets never name them. */
  readonly gatewayUrl: string | null;
  /** The holder of the Lease: unique for each process. */
  readonly identity: string;
  readonly logger: Logger;
}

/** The settings from which the injector renders proxies. */
export function settingsOf(options: ClusterOptions, rootCertificate: string): RenderSettings {
  const { proxyImage, proxyImagePullPolicy, proxyResources, service, namespace } = options;
  return {
    image: proxyImage,
    imagePullPolicy: proxyImagePullPolicy,
    controlUrl: `wss://${service.name}.${namespace}.svc:${service.port}/control`,
    rootCertificate,
    resources: proxyResources,
  };
}
