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
 * The proxy's container and volumes, the same for every Pod: what the injector adds and what attestation
 * requires. It writes every default that the API server would write, so that a live Pod compares equal.
 */
export function renderProxy(settings: RenderSettings): RenderedProxy {
  return { container: container(settings), volumes: [token, data] };
}

function container(settings: RenderSettings): RenderedProxy['container'] {
  return {
    name: proxyContainer,
    image: settings.image,
    imagePullPolicy: settings.imagePullPolicy,
    // A native sidecar: started before the agent, stopped after it, and no hindrance to a Job's end.
    restartPolicy: 'Always',
    env: [
      { name: 'KEYFORGE_CONTROL', value: settings.controlUrl },
      { name: rootVariable, value: settings.rootCertificate },
    ],
    // The agent's port is on loopback and so not named here.
    ports: [{ name: metricsPortName, containerPort: metricsPort, protocol: 'TCP' }],
    // Two minutes for the first policy; then the kubelet restarts the container, and the Pod's events say so.
    startupProbe: probe('/readyz', { periodSeconds: 1, timeoutSeconds: 1, failureThreshold: 120 }),
    // For a wedged process, never for an operator that is down. No readiness probe: a Pod stays ready while its grants last.
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
      // Something mounted at this path keeps the ServiceAccount admission plugin from mounting a token for the API server.
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
    // Readable by all within the volume, which no other container may mount.
    defaultMode: 0o644,
    sources: [{ serviceAccountToken: { audience: controlAudience, expirationSeconds: 3600, path: 'token' } }],
  },
};

/** Holds hours of entries while the operator is down; the kubelet evicts a Pod that fills it. */
const data = { name: dataVolume, emptyDir: { sizeLimit: '1Gi' } };
