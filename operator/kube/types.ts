/** One kind of the API, as its URLs need it. The core group is ''. */
export interface Resource {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

/** Metadata of an object; fields that nothing here reads pass through untyped. */
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

/** An object as the API server sent it: raw JSON, never a typed model, since those drop the fields that they do not know. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
  readonly [field: string]: unknown;
}

/** Where an object is; no namespace for cluster-scoped kinds. */
export interface ObjectPlace {
  readonly namespace?: string;
  readonly name: string;
}

/** What a list or watch covers. No namespace: all of them. */
export interface Scope {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** `metadata`: PartialObjectMetadata only; the rest never enters this process. */
  readonly content?: 'metadata';
}

export interface ListPage {
  readonly items: readonly KubeObject[];
  readonly resourceVersion: string;
  /** Set where more follows. */
  readonly continue?: string;
}

export type WatchEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'; readonly object: KubeObject }
  /** The Status object of the API server, e.g. code 410. */
  | { readonly type: 'ERROR'; readonly object: { readonly code?: number; readonly reason?: string; readonly message?: string } };

/**
 * The API server over one pool of connections. Every call rejects with KubeError where the server answered (KubeAnswerTooLarge
 * where the answer was too large), and with KubeUnreachable where it did not. Nothing is retried here: queue, reflector and elector each know when to.
 */
export interface KubeClient {
  /** Null where there is none. */
  get(resource: Resource, at: ObjectPlace): Promise<KubeObject | null>;
  list(resource: Resource, scope: Scope, page?: { readonly limit: number; readonly continue?: string }): Promise<ListPage>;
  create(resource: Resource, object: KubeObject): Promise<KubeObject>;
  /** PUT; `metadata.resourceVersion` guards it: a KubeError 409 where it changed meanwhile. */
  replace(resource: Resource, object: KubeObject): Promise<KubeObject>;
  /** Server-side apply as field manager `keyforge`, forced: what we own is ours. */
  apply(resource: Resource, object: KubeObject, subresource?: 'status'): Promise<KubeObject>;
  /** RFC 6902. */
  patch(resource: Resource, at: ObjectPlace, operations: readonly JsonPatchOperation[]): Promise<KubeObject>;
  /** False where there was none. */
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

/** RFC 6902; the three that we need. */
export type JsonPatchOperation =
  | { readonly op: 'add' | 'replace'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string }
  | { readonly op: 'test'; readonly path: string; readonly value: unknown };

/** The API server refused. */
export class KubeError extends Error {
  override readonly name = 'KubeError';
  /** HTTP status. */
  readonly status: number;
  /** `reason` of the Status object, e.g. AlreadyExists; '' where there is none. */
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

/** The answer exceeds what is read at once; a list can be requested in smaller pages. */
export class KubeAnswerTooLarge extends KubeError {}

/** No answer: refused, reset, timed out. */
export class KubeUnreachable extends Error {
  override readonly name = 'KubeUnreachable';
}
