import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { startClusterOperator } from '../operator/cluster/start.ts';
import { readOptions } from './command.ts';
import { crashText } from './crash.ts';
import { createLogger } from './logger.ts';
import { readOperatorCommand } from './options/operator.ts';
import { untilStopped } from './process.ts';
import type { ServerStreams } from './streams.ts';

const usage = `keyforge operator --namespace NS --proxy-image IMAGE [--kubeconfig FILE] [--data DIR] [--listen 0.0.0.0:8443]
                  [--metrics-listen 0.0.0.0:9464] [--admin-listen 127.0.0.1:8788] [--service NAME] [--service-port 443] [--webhook-configuration NAME]
                  [--certificate-dir DIR] [--pool-namespaces NS,…] [--proxy-image-digests sha256:…,…]
                  [--proxy-image-pull-policy POLICY] [--proxy-resources JSON] [--gateway-service-account NAME]
                  [--gateway-url URL] [--log-level LEVEL]

The control plane in a cluster: reconciles VirtualKeys and ProviderPools, injects proxies, funds them and keeps their records.

  --namespace NS                 its own namespace: vaults, certificates, Lease
  --proxy-image IMAGE            what Pods are injected with; pin it by digest
  --proxy-image-digests D,…      the only images that are given credentials (none given: any, for development)
  --proxy-image-pull-policy P    Always, IfNotPresent (default) or Never
  --proxy-resources JSON         of each injected proxy: {"requests":{…},"limits":{…}} (default: cpu 10m and memory 96Mi; memory 256Mi)
  --kubeconfig FILE              default: the service account of its Pod
  --data DIR                     keyforge.db and root.key; must outlive the Pod (default /var/lib/keyforge)
  --listen ADDR                  webhook and control port, TLS (default 0.0.0.0:8443)
  --metrics-listen ADDR          /metrics, /healthz, /readyz (default 0.0.0.0:9464)
  --admin-listen ADDR            where \`keyforge keys\` calls, by kubectl port-forward, with the token of Secret
                                 keyforge-admin; loopback only (default 127.0.0.1:8788)
  --service NAME                 the Service in front of --listen (default keyforge-operator)
  --service-port PORT            its port (default 443)
  --webhook-configuration NAME   the MutatingWebhookConfiguration that it keeps trusting its roots (default keyforge-injector)
  --certificate-dir DIR          tls.crt, tls.key and ca.crt that cert-manager renews (default: it makes its own)
  --pool-namespaces NS,…         ProviderPools and their Secrets are read there only (default: --namespace)
  --gateway-service-account SA   proxies that run as it serve the keys whose delivery holds Gateway
  --gateway-url URL              where those proxies are called: the base URL in the token Secrets of such keys
  --log-level LEVEL              trace debug info warn error fatal silent (default info); JSON on stderr

Each flag can be given as KEYFORGE_NAMESPACE and so on; the flag wins. Exit code: 0 done, 1 failed, 2 wrong usage.
`;

/** `keyforge operator`: resolves to the exit code once a signal stops it, or where it cannot start. */
export async function runOperator(args: readonly string[], io: ServerStreams): Promise<number> {
  const command = readOptions({ name: 'keyforge operator', text: usage, read: readOperatorCommand }, args, io);
  if (typeof command === 'number') return command;
  const { logLevel, ...options } = command;
  const logger = createLogger(logLevel).child({ component: 'operator' });
  const identity = `${hostname()}_${randomBytes(4).toString('hex')}`;
  try {
    const operator = await startClusterOperator({ ...options, identity, logger });
    logger.info({ port: operator.port, metricsPort: operator.metricsPort }, 'listening');
    await untilStopped(io.stop);
    await operator.close();
    return 0;
  } catch (error) {
    io.stderr.write(`keyforge operator: ${crashText(error)}\n`);
    return 1;
  }
}
