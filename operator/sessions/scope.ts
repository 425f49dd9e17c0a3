import { isDeepStrictEqual } from 'node:util';
import type { KeyName } from '../../core/names.ts';

/** The proxy of one Pod, beside the agent. */
export interface SidecarScope {
  readonly kind: 'sidecar';
  /** The Pod's uid: names the proxy in its streams, over restarts of its container. */
  readonly instance: string;
  readonly key: KeyName;
  /** Where the key's `spec.run` gives each run a budget: `Pod` or `Job` of this Pod. */
  readonly run: RunScope;
  /** Tokens that opened the key at any time since then open it here, unless they were revoked. */
  readonly podCreatedAtMs: number;
}

/** Serves every key whose `delivery` holds Gateway. */
interface GatewayScope {
  readonly kind: 'gateway';
  readonly instance: string;
}

/** What one proxy of a cluster may see and do. */
export type AttestedScope = SidecarScope | GatewayScope;

/** What one proxy may see and do. `standalone`: the proxy of the same process, which attests to nobody. */
export type Scope = AttestedScope | { readonly kind: 'standalone' };

/** The uids that a run may be named for. `jobUid` where a Job controls the Pod. */
export interface RunScope {
  readonly podUid: string;
  readonly podName: string;
  readonly jobUid?: string;
  readonly jobName?: string;
}

/** Why a proxy gets nothing: a metric label, and words for its log. */
export interface Refused {
  readonly refusal:
    | 'token_invalid'
    | 'pod_gone'
    | 'pod_drifted'
    | 'image_denied'
    | 'key_unnamed'
    /** The kubelet has not yet reported which image runs. */
    | 'pod_unready'
    /** The API server is out of reach. */
    | 'api_unavailable';
  /** True: the same token may be good in a moment. False: the proxy is to drop whatever it holds. */
  readonly retry: boolean;
  readonly message: string;
}

/** A refusal for good: the proxy is to drop whatever it holds. */
export function refused(refusal: Refused['refusal'], message: string): Refused {
  return { refusal, retry: false, message };
}

/** Distinguishes a refusal from a scope. */
export function isRefused(outcome: AttestedScope | Refused): outcome is Refused {
  return 'refusal' in outcome;
}

/** True where both may do the same. */
export function sameScope(one: AttestedScope, other: AttestedScope): boolean {
  return isDeepStrictEqual(one, other);
}
