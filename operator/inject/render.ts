import {
  controlAudience,
  dataMountPath,
  dataVolume,
  metricsPort,
  metricsPortName,
  proxyContainer,
  proxyUserId,
  tokenMountPath,
  tokenVolume,
} from './names.ts';
import type { RenderedProxy, RenderSettings } from './types.ts';

/** The variable that holds `rootCertificate`. */
export const rootVariable = 'KEYFORGE_CONTROL_CA';

/**
 * Renders the proxy's container and volumes, the same for every Pod. The injector adds them and attestation requires them.
 * It writes every default that the API server would write, so that a live Pod compares equal.
 */
export function renderProxy(settings: RenderSettings): RenderedProxy {
  return { container: container(settings), volumes: [token, data] };
}

function container(settings: RenderSettings): RenderedProxy['container'] {
  return {
    name: proxyContainer,
    image: settings.image,
    imagePullPolicy: settings.imagePullPolicy,
    // A native sidecar: it starts before the agent, stops after it, and does not keep a Job running.
    restartPolicy: 'Always',
    env: [
      { name: 'KEYFORGE_CONTROL', value: settings.controlUrl },
      { name: rootVariable, value: settings.rootCertificate },
    ],
    // The agent's port is on loopback, so it is not listed here.
    ports: [{ name: metricsPortName, containerPort: metricsPort, protocol: 'TCP' }],
    // Two minutes for the first policy; then the kubelet restarts the container, and the Pod's events say so.
    startupProbe: probe('/readyz', { periodSeconds: 1, timeoutSeconds: 1, failureThreshold: 120 }),
    // It restarts a hung process, but not when the operator is down. No readiness probe: a Pod stays ready while its grants last.
    livenessProbe: probe('/healthz', { periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 }),
    resources: settings.resources,
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      readOnlyRootFilesystem: true,
      runAsGroup: proxyUserId,
      runAsNonRoot: true,
      runAsUser: proxyUserId,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    volumeMounts: [
      // A mount at this path stops the ServiceAccount admission plugin from mounting a token for the API server.
      { name: tokenVolume, mountPath: tokenMountPath, readOnly: true },
      { name: dataVolume, mountPath: dataMountPath },
    ],
  };
}

function probe(
  path: string,
  times: { readonly periodSeconds: number; readonly timeoutSeconds: number; readonly failureThreshold: number },
): Readonly<Record<string, unknown>> {
  return { httpGet: { path, port: metricsPort, scheme: 'HTTP' }, successThreshold: 1, ...times };
}

const token = {
  name: tokenVolume,
  projected: {
    // Readable by all users of the volume, which no other container may mount.
    defaultMode: 0o644,
    sources: [{ serviceAccountToken: { audience: controlAudience, expirationSeconds: 3600, path: 'token' } }],
  },
};

/** Holds hours of entries while the operator is down; the kubelet evicts a Pod that fills it. */
const data = { name: dataVolume, emptyDir: { sizeLimit: '1Gi' } };
