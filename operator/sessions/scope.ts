import { isDeepStrictEqual } from 'node:util';
import type { KeyName } from '../../core/names.ts';

/** The proxy of one Pod, beside the agent. */
export interface SidecarScope {
  readonly kind: 'sidecar';
  /** The Pod's uid, which names the proxy in its streams over restarts of its container. */
  readonly instance: string;
  readonly key: KeyName;
  /** The run of this Pod, for keys whose `spec.run` gives each run a budget. */
  readonly run: RunScope;
  /** Tokens that were valid at any time since then work here, unless they were revoked. */
  readonly podCreatedAtMs: number;
}

/** A proxy that serves every key whose `delivery` contains Gateway. */
interface GatewayScope {
  readonly kind: 'gateway';
  readonly instance: string;
}

/** What one proxy of a cluster may see and do. */
export type AttestedScope = SidecarScope | GatewayScope;

/** What one proxy may see and do. `standalone`: the proxy of the same process, which needs no attestation. */
export type Scope = AttestedScope | { readonly kind: 'standalone' };

/** The uids from which a run may take its name; `jobUid` if a Job controls the Pod. */
export interface RunScope {
  readonly podUid: string;
  readonly podName: string;
  readonly jobUid?: string;
  readonly jobName?: string;
}

/** Why the operator refuses a proxy: a metric label, and a message for its log. */
export interface Refused {
  readonly refusal:
    | 'token_invalid'
    | 'pod_gone'
    | 'pod_drifted'
    | 'image_denied'
    | 'key_unnamed'
    /** The kubelet has not yet reported which image runs. */
    | 'pod_unready'
    /** The API server is unreachable. */
    | 'api_unavailable';
  /** True: the same token may be accepted soon. False: the proxy must drop everything that it holds. */
  readonly retry: boolean;
  readonly message: string;
}

/** Makes a permanent refusal: the proxy must drop everything that it holds. */
export function refused(refusal: Refused['refusal'], message: string): Refused {
  return { refusal, retry: false, message };
}

/** True for a refusal, false for a scope. */
export function isRefused(outcome: AttestedScope | Refused): outcome is Refused {
  return 'refusal' in outcome;
}

/** True if both scopes permit the same. */
export function sameScope(one: AttestedScope, other: AttestedScope): boolean {
  return isDeepStrictEqual(one, other);
}
