/** One kind of the API, for its URLs. The core group is ''. */
export interface Resource {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

/** Metadata of an object. Other fields pass through untyped. */
interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
  readonly [field: string]: unknown;
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

/** An object from the API server as raw JSON. A typed model would drop unknown fields. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
  readonly [field: string]: unknown;
}

/** Name and namespace of an object; no namespace for cluster-scoped kinds. */
export interface ObjectPlace {
  readonly namespace?: string;
  readonly name: string;
}

/** What a list or watch covers; without a namespace, all of them. */
export interface Scope {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** `metadata`: only PartialObjectMetadata, so that the rest never enters this process. */
  readonly content?: 'metadata';
}

export interface ListPage {
  readonly items: readonly KubeObject[];
  readonly resourceVersion: string;
  /** Present if more pages follow. */
  readonly continue?: string;
}

export type WatchEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'; readonly object: KubeObject }
  /** The Status object of the API server, e.g. code 410. */
  | { readonly type: 'ERROR'; readonly object: { readonly code?: number; readonly reason?: string; readonly message?: string } };

/**
 * A client of the API server over one pool of connections. Every call rejects with KubeError if the server refused
 * (KubeAnswerTooLarge if its answer is too large), and with KubeUnreachable if it did not answer. It never retries: queue,
 * reflector and elector do.
 */
export interface KubeClient {
  /** Null if there is none. */
  get(resource: Resource, at: ObjectPlace): Promise<KubeObject | null>;
  list(resource: Resource, scope: Scope, page?: { readonly limit: number; readonly continue?: string }): Promise<ListPage>;
  create(resource: Resource, object: KubeObject): Promise<KubeObject>;
  /** PUT, guarded by `metadata.resourceVersion`: KubeError 409 if the object changed in the meantime. */
  replace(resource: Resource, object: KubeObject): Promise<KubeObject>;
  /** Forced server-side apply as field manager `keyforge`. */
  apply(resource: Resource, object: KubeObject, subresource?: 'status'): Promise<KubeObject>;
  /** Applies an RFC 6902 patch. */
  patch(resource: Resource, at: ObjectPlace, operations: readonly JsonPatchOperation[]): Promise<KubeObject>;
  /** False if there was none. */
  remove(resource: Resource, at: ObjectPlace, precondition?: { readonly uid: string }): Promise<boolean>;
  /** Ends when the server ends it or `signal` is aborted; rejects as the other calls do. */
  watch(
    resource: Resource,
    scope: Scope & { readonly resourceVersion: string; readonly timeoutSeconds: number },
    signal: AbortSignal,
  ): AsyncIterable<WatchEvent>;
  /** `/version`. */
  version(): Promise<{ readonly major: number; readonly minor: number; readonly gitVersion: string }>;
  close(): Promise<void>;
}

/** The three operations of RFC 6902 that KeyForge uses. */
export type JsonPatchOperation =
  | { readonly op: 'add' | 'replace'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string }
  | { readonly op: 'test'; readonly path: string; readonly value: unknown };

/** The API server refused. */
export class KubeError extends Error {
  override readonly name = 'KubeError';
  /** HTTP status. */
  readonly status: number;
  /** `reason` of the Status object, e.g. AlreadyExists; '' if there is none. */
  readonly reason: string;
  /** From Retry-After. */
  readonly retryAfterMs: number | undefined;

  constructor(status: number, reason: string, message: string, retryAfterMs?: number) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The answer exceeds the read limit; a list can be requested in smaller pages. */
export class KubeAnswerTooLarge extends KubeError {}

/** The server did not answer: refused, reset, timed out. */
export class KubeUnreachable extends Error {
  override readonly name = 'KubeUnreachable';
}
