import type { Logger } from 'pino';
import type { RenderSettings } from '../inject/types.ts';

/** Everything that the operator of a cluster is started with. */
export interface ClusterOptions {
  /** A path, or `in-cluster`. */
  readonly kubeconfig: string;
  /** Its own namespace: vaults, certificates, Lease. */
  readonly namespace: string;
  /** Holds `keyforge.db` and `root.key`; exists, writable, and outlives the Pod. */
  readonly dataDir: string;
  readonly listen: { readonly host: string; readonly port: number };
  readonly metricsListen: { readonly host: string; readonly port: number };
  /** Loopback of its Pod only: who reaches the admin API and may read its token rules every key. */
  readonly adminListen: { readonly host: string; readonly port: number };
  /** The Service in front of `listen`: in its certificate and in every injected proxy. */
  readonly service: { readonly name: string; readonly port: number };
  /** The MutatingWebhookConfiguration whose caBundle it keeps; must exist. */
  readonly webhookConfiguration: string;
  /** `tls.crt`, `tls.key` and `ca.crt` that somebody else renews; null: it makes and renews its own. */
  readonly certificateDir: string | null;
  /** ProviderPools and their Secrets are read in these namespaces only. */
  readonly poolNamespaces: readonly string[];
  readonly proxyImage: string;
  /** `sha256:…` of the images that may hold credentials; empty: any image, for development. */
  readonly proxyImageDigests: readonly string[];
  readonly proxyImagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  /** Of every proxy that is injected from now on; too little memory ends it in the middle of calls. */
  readonly proxyResources: RenderSettings['resources'];
  /** The ServiceAccount, in its own namespace, of the proxies that serve keys delivered to the gateway; null: none. */
  readonly gatewayServiceAccount: string | null;
  /** Where callers reach those proxies, without a path; null: token Secrets never name them. */
  readonly gatewayUrl: string | null;
  /** Unique for each life of a process: holder of the Lease. */
  readonly identity: string;
  readonly logger: Logger;
}

/** What the injector renders into Pods. */
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
