import type { KeyName } from '../../core/names.ts';

/** What one attested proxy may see and do. */
export type Scope =
  /** The proxy of the same process. */
  | { readonly kind: 'standalone' }
  | {
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
  | { readonly kind: 'gateway'; readonly instance: string };

/** The uids that a run may be named for. `jobUid` where a Job controls the Pod. */
export interface RunScope {
  readonly podUid: string;
  readonly podName: string;
  readonly jobUid?: string;
  readonly jobName?: string;
}
