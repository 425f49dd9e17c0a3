import { defined } from '../../core/json.ts';
import { keyName } from '../../core/names.ts';
import { injectLabel, proxyContainer, virtualKeyAnnotation } from '../inject/names.ts';
import { namedKey, optedIn } from '../inject/pod-view.ts';
import type { Pod } from '../inject/types.ts';
import { type AttestedScope, type Refused, type RunScope, refused } from './scope.ts';

/** The rules by which a Pod is judged. */
export interface PodRules {
  /** JSON pointers to every difference between a Pod and what was injected; empty if there is none. */
  readonly drift: (pod: Pod) => readonly string[];
  /** `sha256:…` of the images that a proxy may run; empty: any image, for development only. */
  readonly imageDigests: ReadonlySet<string>;
  /** Pods of this ServiceAccount are gateways. */
  readonly gateway: { readonly namespace: string; readonly serviceAccount: string } | null;
}

/** What the proxy of a Pod is entitled to, by the current state of the Pod. */
export function judgePod(pod: Pod, { drift, imageDigests, gateway }: PodRules): AttestedScope | Refused {
  const { namespace = '', name, uid = '' } = pod.metadata;
  const place = `Pod ${namespace}/${name}`;
  // A Pod that is being deleted works until its containers end, and must ship its entries.
  if (hasEnded(pod)) return refused('pod_gone', `${place} has ended`);
  const isGateway = gateway !== null && namespace === gateway.namespace && serviceAccountOf(pod) === gateway.serviceAccount;
  // The operator watches sidecars by their label, and would not see changes of one without it.
  if (!isGateway && !optedIn(pod)) return refused('pod_drifted', `${place} has no label ${injectLabel}: "true"; re-create it`);
  const drifted = isGateway ? [] : drift(pod);
  if (drifted.length > 0) return refused('pod_drifted', `${place} differs from what was injected: ${drifted.join(', ')}; re-create it`);
  const image = checkImage(pod, place, imageDigests);
  if (image !== null) return image;
  if (isGateway) return { kind: 'gateway', instance: uid };
  const key = namedKey(pod);
  if (key === null) return refused('key_unnamed', `${place} names no key: set its annotation ${virtualKeyAnnotation}`);
  const podCreatedAtMs = Date.parse(pod.metadata.creationTimestamp ?? '');
  return { kind: 'sidecar', instance: uid, key: keyName(namespace, key), run: runOf(pod), podCreatedAtMs };
}

/** True if all containers have ended and will not restart. */
export function hasEnded(pod: Pod): boolean {
  const { phase } = statusOf(pod);
  return phase === 'Succeeded' || phase === 'Failed';
}

/** The ServiceAccount of a Pod. */
export function serviceAccountOf(pod: Pod): string {
  return ((pod['spec'] ?? {}) as { readonly serviceAccountName?: string }).serviceAccountName ?? 'default';
}

interface ContainerStatus {
  readonly name?: string;
  readonly imageID?: string;
}

interface PodStatus {
  readonly phase?: string;
  readonly initContainerStatuses?: readonly ContainerStatus[];
  readonly containerStatuses?: readonly ContainerStatus[];
}

function statusOf(pod: Pod): PodStatus {
  return (pod['status'] ?? {}) as PodStatus;
}

/** Checks the running image, from the kubelet's report, because the Pod's spec only says which image was requested. */
function checkImage(pod: Pod, place: string, allowed: ReadonlySet<string>): Refused | null {
  if (allowed.size === 0) return null;
  const { initContainerStatuses = [], containerStatuses = [] } = statusOf(pod);
  const running = [...initContainerStatuses, ...containerStatuses].find(({ name }) => name === proxyContainer);
  const [digest] = /sha256:[0-9a-f]{64}$/.exec(running?.imageID ?? '') ?? [];
  if (digest === undefined) {
    const message = `the kubelet has not reported yet which image ${proxyContainer} runs in ${place}`;
    return { refusal: 'pod_unready', retry: true, message };
  }
  return allowed.has(digest)
    ? null
    : refused(
        'image_denied',
        `${place} runs ${proxyContainer} from ${digest}, which is not among the images that --proxy-image-digests allows`,
      );
}

function runOf({ metadata }: Pod): RunScope {
  const job = metadata.ownerReferences?.find(
    ({ kind, apiVersion, controller }) => controller === true && kind === 'Job' && apiVersion.startsWith('batch/'),
  );
  return { podUid: metadata.uid ?? '', podName: metadata.name, ...defined({ jobUid: job?.uid, jobName: job?.name }) };
}
