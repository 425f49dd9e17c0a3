import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { keyName } from '../../core/names.ts';
import { injectLabel, proxyContainer, virtualKeyAnnotation } from '../inject/names.ts';
import { namedKey, optedIn } from '../inject/pod-view.ts';
import type { Pod } from '../inject/types.ts';
import { pods } from '../kube/resources.ts';
import { type KubeClient, KubeError, KubeUnreachable } from '../kube/types.ts';
import type { RunScope, Scope } from './scope.ts';
import { reviewToken } from './token-review.ts';

/** A proxy of a cluster: standalone attests to nobody. */
export type AttestedScope = Exclude<Scope, { readonly kind: 'standalone' }>;

/** Why a proxy gets nothing: a metric label, and words for its log. */
export interface Refused {
  readonly refusal:
    | 'token_invalid'
    | 'pod_gone'
    | 'pod_drifted'
    | 'image_denied'
    | 'key_unnamed'
    /** The kubelet has not yet told which image runs. */
    | 'pod_unready'
    /** The API server could not be asked. */
    | 'api_unavailable';
  /** True: the same token may be good in a moment. False: whatever the proxy holds is to be dropped. */
  readonly retry: boolean;
  readonly message: string;
}

export interface Attestor {
  /** Who shows this token. Never rejects for what the cluster says or fails to say. */
  attest(token: string): Promise<AttestedScope | Refused>;
  /** What a Pod, as it is seen now, is entitled to; a pure look. */
  judge(pod: Pod): AttestedScope | Refused;
}

export interface AttestorDeps {
  readonly kube: Pick<KubeClient, 'get' | 'create'>;
  /** Where a Pod differs from what was injected: JSON pointers, none where it is ours to the letter. */
  readonly drift: (pod: Pod) => readonly string[];
  /** `sha256:…` of the images that a proxy may run; empty: not looked at, for development only. */
  readonly imageDigests: ReadonlySet<string>;
  /** Pods of this ServiceAccount are gateways. */
  readonly gateway: { readonly namespace: string; readonly serviceAccount: string } | null;
  readonly logger: Logger;
}

/** Attestation against one cluster. */
export function createAttestor(deps: AttestorDeps): Attestor {
  const { kube, drift, imageDigests, gateway, logger } = deps;
  if (imageDigests.size === 0) {
    logger.warn('no image digests are given: a proxy may run ANY image. Set --proxy-image-digests before real credentials are served');
  }

  function judge(pod: Pod): AttestedScope | Refused {
    const { namespace = '', name, uid = '' } = pod.metadata;
    const place = `Pod ${namespace}/${name}`;
    // A Pod that is being deleted still works until its containers end, and must ship what it recorded.
    if (hasEnded(pod)) return refused('pod_gone', `${place} has ended`);
    const isGateway = gateway !== null && namespace === gateway.namespace && serviceAccountOf(pod) === gateway.serviceAccount;
    // Sidecars are watched by their label: one without it could change unseen.
    if (!isGateway && !optedIn(pod)) return refused('pod_drifted', `${place} has no label ${injectLabel}: "true" any more; create it anew`);
    const drifted = isGateway ? [] : drift(pod);
    if (drifted.length > 0) return refused('pod_drifted', `${place} is not as it was injected: ${drifted.join(', ')}; create it anew`);
    const image = checkImage(pod, place, imageDigests);
    if (image !== null) return image;
    if (isGateway) return { kind: 'gateway', instance: uid };
    const key = namedKey(pod);
    if (key === null) return refused('key_unnamed', `${place} names no key: set its annotation ${virtualKeyAnnotation}`);
    const podCreatedAtMs = Date.parse(pod.metadata.creationTimestamp ?? '');
    return { kind: 'sidecar', instance: uid, key: keyName(namespace, key), run: runOf(pod), podCreatedAtMs };
  }

  async function look(token: string): Promise<AttestedScope | Refused> {
    const identity = await reviewToken(kube, token);
    if (typeof identity === 'string') return refused('token_invalid', identity);
    const { namespace, podName, podUid, serviceAccount } = identity;
    const pod = await kube.get(pods, { namespace, name: podName });
    if (pod === null || pod.metadata.uid !== podUid) return refused('pod_gone', `Pod ${namespace}/${podName} (uid ${podUid}) is deleted`);
    if (serviceAccountOf(pod) !== serviceAccount) {
      return refused('token_invalid', `Pod ${namespace}/${podName} does not run as ServiceAccount ${serviceAccount}`);
    }
    return judge(pod);
  }

  return {
    judge,
    async attest(token) {
      try {
        return await look(token);
      } catch (error) {
        if (!(error instanceof KubeError || error instanceof KubeUnreachable)) throw error;
        const said = error instanceof KubeError ? `answered ${error.status} ${error.reason}` : 'does not answer';
        return { refusal: 'api_unavailable', retry: true, message: `the API server ${said}; who you are cannot be checked now` };
      }
    },
  };
}

/** Tells a refusal from a scope. */
export function isRefused(outcome: AttestedScope | Refused): outcome is Refused {
  return 'refusal' in outcome;
}

/** True where all containers ended for good. */
export function hasEnded(pod: Pod): boolean {
  const { phase } = statusOf(pod);
  return phase === 'Succeeded' || phase === 'Failed';
}

/** True where both may do the same. */
export function sameScope(one: AttestedScope, other: AttestedScope): boolean {
  return isDeepStrictEqual(one, other);
}

function refused(refusal: Refused['refusal'], message: string): Refused {
  return { refusal, retry: false, message };
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

function serviceAccountOf(pod: Pod): string {
  return ((pod['spec'] ?? {}) as { readonly serviceAccountName?: string }).serviceAccountName ?? 'default';
}

/** The image that runs, by what the kubelet reports: the Pod's spec only tells which was asked for. */
function checkImage(pod: Pod, place: string, allowed: ReadonlySet<string>): Refused | null {
  if (allowed.size === 0) return null;
  const { initContainerStatuses = [], containerStatuses = [] } = statusOf(pod);
  const running = [...initContainerStatuses, ...containerStatuses].find(({ name }) => name === proxyContainer);
  const [digest] = /sha256:[0-9a-f]{64}$/.exec(running?.imageID ?? '') ?? [];
  if (digest === undefined) {
    const message = `the kubelet has not reported which image ${proxyContainer} runs in ${place}`;
    return { refusal: 'pod_unready', retry: true, message };
  }
  return allowed.has(digest)
    ? null
    : refused('image_denied', `${place} runs ${proxyContainer} from ${digest}, which is not an image of KeyForge here`);
}

function runOf({ metadata }: Pod): RunScope {
  const job = metadata.ownerReferences?.find(
    ({ kind, apiVersion, controller }) => controller === true && kind === 'Job' && apiVersion.startsWith('batch/'),
  );
  return { podUid: metadata.uid ?? '', podName: metadata.name, ...(job !== undefined && { jobUid: job.uid, jobName: job.name }) };
}
