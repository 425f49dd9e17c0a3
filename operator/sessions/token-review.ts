import { controlAudience } from '../inject/names.ts';
import { tokenReviews } from '../kube/resources.ts';
import type { KubeClient } from '../kube/types.ts';

/** The identity that the API server confirms, of a service account token that is bound to a Pod. */
interface Identity {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly podName: string;
  readonly podUid: string;
}

/** The status of a TokenReview of authentication.k8s.io/v1. */
interface ReviewStatus {
  readonly authenticated?: boolean;
  readonly audiences?: readonly string[];
  readonly user?: { readonly username?: string; readonly extra?: Readonly<Record<string, readonly string[]>> };
}

const podClaim = 'authentication.kubernetes.io/pod-';

/**
 * Reviews a token at the API server; returns a sentence if it is not a Pod's token for us. Rejects as KubeClient does. The answer
 * does not show whether the Pod still exists, because the API server caches it for ten seconds.
 */
export async function reviewToken(kube: Pick<KubeClient, 'create'>, token: string): Promise<Identity | string> {
  const { status } = await kube.create(tokenReviews, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenReview',
    metadata: { name: '' },
    spec: { token, audiences: [controlAudience] },
  });
  const { authenticated, audiences, user } = (status ?? {}) as ReviewStatus;
  if (authenticated !== true) return `the API server does not accept the token: it must be projected with the audience ${controlAudience}`;
  // An authenticator without audiences omits the list, and its tokens are valid for everybody.
  if (audiences?.includes(controlAudience) !== true) return `the token is not for the audience ${controlAudience}`;
  const [, namespace, serviceAccount] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(user?.username ?? '') ?? [];
  const podName = user?.extra?.[`${podClaim}name`]?.[0];
  const podUid = user?.extra?.[`${podClaim}uid`]?.[0];
  if (namespace === undefined || serviceAccount === undefined) return 'the token does not belong to a ServiceAccount';
  if (podName === undefined || podUid === undefined) return 'the token is not bound to a Pod: take it from a projected volume';
  return { namespace, serviceAccount, podName, podUid };
}
