import type { Logger } from 'pino';
import type { Pod } from '../inject/types.ts';
import { pods } from '../kube/resources.ts';
import { type KubeClient, KubeError, KubeUnreachable } from '../kube/types.ts';
import { judgePod, type PodRules, serviceAccountOf } from './pod-scope.ts';
import { type AttestedScope, type Refused, refused } from './scope.ts';
import { reviewToken } from './token-review.ts';

/** Attests proxies: it finds a proxy's identity and what the proxy may have. */
export interface Attestor {
  /** Attests the proxy that sent this token. A failing cluster gives a refusal, never a rejection. */
  attest(token: string): Promise<AttestedScope | Refused>;
  /** What a Pod in the cache is entitled to. Makes no request. */
  judge(pod: Pod): AttestedScope | Refused;
}

/** What attestation needs. */
export interface AttestorDeps extends PodRules {
  readonly kube: Pick<KubeClient, 'get' | 'create'>;
  readonly logger: Logger;
}

/** Makes attestation against one cluster. */
export function createAttestor({ kube, logger, ...rules }: AttestorDeps): Attestor {
  if (rules.imageDigests.size === 0) {
    logger.warn('no image digests are set, so a proxy may run ANY image. Set --proxy-image-digests before you use real credentials');
  }
  return {
    judge: (pod) => judgePod(pod, rules),
    async attest(token) {
      try {
        return await attestToken(kube, token, rules);
      } catch (error) {
        if (!(error instanceof KubeError || error instanceof KubeUnreachable)) throw error;
        const outage = error instanceof KubeError ? `answered ${error.status} ${error.reason}` : 'does not answer';
        const message = `the operator cannot check who this proxy is: the API server ${outage}; the proxy retries`;
        return { refusal: 'api_unavailable', retry: true, message };
      }
    },
  };
}

async function attestToken(kube: AttestorDeps['kube'], token: string, rules: PodRules): Promise<AttestedScope | Refused> {
  const identity = await reviewToken(kube, token);
  if (typeof identity === 'string') return refused('token_invalid', identity);
  const { namespace, podName, podUid, serviceAccount } = identity;
  const pod = await kube.get(pods, { namespace, name: podName });
  if (pod === null || pod.metadata.uid !== podUid) return refused('pod_gone', `Pod ${namespace}/${podName} (uid ${podUid}) is deleted`);
  if (serviceAccountOf(pod) !== serviceAccount) {
    return refused('token_invalid', `Pod ${namespace}/${podName} does not run as ServiceAccount ${serviceAccount}`);
  }
  return judgePod(pod, rules);
}
