import type { JsonPatchOperation, KubeObject } from '../kube/types.ts';
import type { Reason } from './reasons.ts';

/** The settings of every injected proxy, from the operator's configuration. */
export interface RenderSettings {
  /** Pinned by digest in production: `registry/keyforge-proxy@sha256:…`. */
  readonly image: string;
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  /** `wss://keyforge-operator.keyforge-system.svc:443/control`. */
  readonly controlUrl: string;
  /** PEM of the long-lived root that issues the operator's certificates. */
  readonly rootCertificate: string;
  readonly resources: { readonly requests: Readonly<Record<string, string>>; readonly limits: Readonly<Record<string, string>> };
}

/** A rendered proxy: plain JSON, with every default that the API server would write. */
export interface RenderedProxy {
  readonly container: Readonly<Record<string, unknown>>;
  readonly volumes: readonly Readonly<Record<string, unknown>>[];
}

export type Injection =
  /** The Pod's creator sees `warnings`, e.g. about a pair of variables that the Pod sets itself. */
  | { readonly kind: 'patch'; readonly patch: readonly JsonPatchOperation[]; readonly warnings: readonly Reason[] }
  /** Nothing to do: not opted in, or already injected. */
  | ({ readonly kind: 'skip' } & Reason)
  /** The Pod must not be created as it is. */
  | ({ readonly kind: 'refuse' } & Reason);

/** What the injector needs to know about the named key. */
export interface InjectedKey {
  /** The Secret that holds its token, item `api-key`, in the Pod's namespace. */
  readonly secretName: string;
  /** True if `spec.delivery` contains Sidecar. */
  readonly sidecar: boolean;
}

/** Finds a VirtualKey; null if there is none. May call the API server, for a key that was applied together with the Pod. */
export type FindKey = (namespace: string, name: string) => Promise<InjectedKey | null>;

/** A Pod as JSON. */
export type Pod = KubeObject;
