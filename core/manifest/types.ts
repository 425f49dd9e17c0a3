import type { NanoUsd, PicoUsdPerToken } from '../money.ts';
import type { KeyName, PoolName } from '../names.ts';
import type { Fee } from '../price/types.ts';
import type { ProviderKind } from './providers.ts';

/** Which document of which file a manifest is. */
export interface Origin {
  readonly file: string;
  /** 1-based line of the document's start. */
  readonly line: number;
}

export const windowKinds = ['Total', 'Hour', 'Day', 'Week', 'Month'] as const;
export type WindowKind = (typeof windowKinds)[number];

/** Labels that must all be present; no labels select every namespace. */
export interface NamespaceSelector {
  readonly matchLabels: Readonly<Record<string, string>>;
}

export interface ProviderPool {
  readonly kind: 'ProviderPool';
  readonly name: PoolName;
  /** Absent: an object of the API server. */
  readonly origin?: Origin;
  readonly provider: ProviderKind;
  /** Absent: the provider's default. An absolute http(s) URL without user, query or fragment, no trailing slash. */
  readonly endpoint?: string;
  readonly keys: readonly PoolKey[];
  readonly consumers: readonly PoolConsumer[];
  readonly models: readonly PoolModel[];
  /** True: a 500 or 502 of this server means that nothing was billed. For compatible servers. */
  readonly freeErrors?: boolean;
  /** True: the server counts the tokens of a request at the counting endpoint of its dialect. For compatible servers. */
  readonly countable?: boolean;
  /** Body fields that a capped key may send although KeyForge has not judged them: they cost nothing beyond their text. */
  readonly freeFields: readonly string[];
  readonly timeouts?: PoolTimeouts;
  /** Absent: `Drain`. */
  readonly onDisconnect?: OnDisconnect;
  /** Sockets from one proxy; absent: the proxy's default. */
  readonly maxConnections?: number;
  /** Silence of the provider after which a stream's client gets a comment; absent: it gets none. */
  readonly sseKeepAliveMs?: number;
}

/** How long a proxy waits for the provider; an absent one is the proxy's default. A call has no limit as a whole. */
export interface PoolTimeouts {
  /** For a connection. */
  readonly connectMs?: number;
  /** From the attempt's start until the status of its answer. */
  readonly firstByteMs?: number;
  /** Between two pieces of an answer. */
  readonly idleMs?: number;
}

export const disconnectActions = ['Drain', 'Cancel'] as const;
/** What becomes of a call whose client has left: `Drain` reads on for its usage, `Cancel` ends it and charges its bound. */
export type OnDisconnect = (typeof disconnectActions)[number];

export interface PoolKey {
  readonly name: string;
  /** In the pool's own namespace. */
  readonly secretRef: { readonly name: string; readonly key: string };
  /** Default: a scope of its own, the key's name. */
  readonly quotaScope: string;
}

export interface PoolConsumer {
  readonly namespaceSelector: NamespaceSelector;
  /** This entry admits only this key and its descendants. */
  readonly under?: KeyName;
}

/** An addition to, or override of, the built-in price book. */
export interface PoolModel {
  readonly name: string;
  /** What the provider calls it; default: `name`. */
  readonly upstreamName: string;
  readonly maxOutputTokens?: number;
  readonly contextTokens?: number;
  readonly price?: PoolModelPrice;
  /** Nano-USD of what is billed by the call. */
  readonly fees?: Readonly<Partial<Record<Fee, NanoUsd>>>;
}

export interface PoolModelPrice {
  readonly input: PicoUsdPerToken;
  readonly output: PicoUsdPerToken;
  readonly cachedInput?: PicoUsdPerToken;
  readonly cacheWrite?: PicoUsdPerToken;
  readonly reasoning?: PicoUsdPerToken;
  readonly inputAudio?: PicoUsdPerToken;
  readonly inputImage?: PicoUsdPerToken;
  readonly inputVideo?: PicoUsdPerToken;
  readonly outputAudio?: PicoUsdPerToken;
  readonly outputImage?: PicoUsdPerToken;
}

export interface VirtualKey {
  readonly kind: 'VirtualKey';
  readonly name: KeyName;
  /** Absent: an object of the API server. */
  readonly origin?: Origin;
  readonly spec: VirtualKeySpec;
}

export interface VirtualKeySpec {
  readonly owner: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly parentRef?: KeyName;
  readonly children?: { readonly namespaceSelector: NamespaceSelector };
  /** Default true. */
  readonly issueToken: boolean;
  /** In order of preference; absent inherits, required at a root. */
  readonly pools?: readonly PoolName[];
  readonly models: {
    /** Exact names or patterns where `*` matches any run of characters; absent = all that the pools price. */
    readonly allow?: readonly string[];
    readonly deny: readonly string[];
    readonly aliases: Readonly<Record<string, string>>;
  };
  /** Route templates; absent = all that can be metered. */
  readonly endpoints?: { readonly allow: readonly string[] };
  readonly limits: readonly Limit[];
  /** `concurrentCalls` counts in each proxy by itself. */
  readonly rate: { readonly requestsPerMinute?: number; readonly tokensPerMinute?: number; readonly concurrentCalls?: number };
  readonly perRequest: { readonly usdNano?: NanoUsd; readonly outputTokens?: number };
  /** Milliseconds since the epoch. */
  readonly expiresAtMs?: number;
  /** From creation. */
  readonly ttlMs?: number;
  readonly suspended: boolean;
  /** Default scope: the Job if one owns the Pod, otherwise the Pod. */
  readonly run?: { readonly scope?: 'Pod' | 'Job'; readonly usdNano?: NanoUsd; readonly ttlMs?: number };
  readonly delegation?: { readonly maxDepth: number; readonly maxChildren: number };
  readonly delivery: readonly ('Sidecar' | 'Gateway')[];
  readonly rotation?: { readonly everyMs: number; readonly overlapMs: number };
  readonly secretName?: string;
}

/** The spec without any field: the reader's defaults, and the base of other specs. */
export const emptySpec: VirtualKeySpec = {
  owner: {},
  labels: {},
  issueToken: true,
  models: { deny: [], aliases: {} },
  limits: [],
  rate: {},
  perRequest: {},
  suspended: false,
  delivery: ['Sidecar'],
};

/** One item a window; at least one of usd and requests. */
export interface Limit {
  readonly window: WindowKind;
  readonly usdNano?: NanoUsd;
  readonly requests?: number;
  /** IANA zone; default Etc/UTC. Meaningless for Total and Hour of whole-hour zones, still kept. */
  readonly timeZone: string;
}

export interface Namespace {
  readonly kind: 'Namespace';
  readonly name: string;
  /** Absent: an object of the API server. */
  readonly origin?: Origin;
  readonly labels: Readonly<Record<string, string>>;
}

/** A plain Secret among the manifests. Values are credentials: never logged, never in a Problem. */
export interface PlainSecret {
  readonly kind: 'Secret';
  /** `namespace/name`. */
  readonly name: string;
  /** Absent: an object of the API server. */
  readonly origin?: Origin;
  readonly data: Readonly<Record<string, string>>;
}

/** All manifests, each object once. */
export interface Manifests {
  readonly virtualKeys: readonly VirtualKey[];
  readonly pools: readonly ProviderPool[];
  readonly namespaces: readonly Namespace[];
  readonly secrets: readonly PlainSecret[];
}
