import { servedKinds } from '../../../core/manifest/providers.ts';

/** A manifest and what must become of it, at the API server as with `keyforge up`. */
export interface CorpusCase {
  readonly what: string;
  readonly manifest: CorpusManifest;
  /** Path of the field that is wrong; both messages name it. Absent: the manifest is good. */
  readonly wrong?: string;
  /** What both messages say besides: the rule or the allowed values. */
  readonly says?: readonly string[];
}

/** A VirtualKey or ProviderPool as JSON. */
export interface CorpusManifest {
  readonly apiVersion: string;
  readonly kind: 'VirtualKey' | 'ProviderPool';
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly spec: unknown;
}

const apiVersion = 'keyforge.dev/v1alpha1';

/** A VirtualKey. */
export function key(spec: unknown, name: unknown = 'bot'): CorpusManifest {
  return { apiVersion, kind: 'VirtualKey', metadata: { name, namespace: 'default' }, spec };
}

/** A good item of a pool's keys. */
export const credential: Readonly<Record<string, unknown>> = { name: 'a', secretRef: { name: 's', key: 'k' } };

/** A ProviderPool of one credential, `spec` over it. */
export function pool(spec: object): CorpusManifest {
  return {
    apiVersion,
    kind: 'ProviderPool',
    metadata: { name: 'openai', namespace: 'default' },
    spec: { provider: 'OpenAI', keys: [credential], ...spec },
  };
}

/** A pool with one model. */
export const model = (fields: object): CorpusManifest => pool({ models: [{ name: 'm', ...fields }] });
/** A pool with one price. */
export const price = (fields: object): CorpusManifest => model({ pricePerMillion: { input: '1', output: '2', ...fields } });
/** A key with one limit. */
export const limit = (fields: object): CorpusManifest => key({ limits: [{ window: 'Day', ...fields }] });
/** A pool at an endpoint. */
export const endpoint = (url: unknown): CorpusManifest => pool({ endpoint: url });

/** An object that uses every field, from which others are made by changing one. */
export const wholeKey: CorpusManifest = key({
  owner: { team: 'ml', user: 'priya@company.com' },
  labels: { project: 'atlas', __proto__x: '', '%': 'ü' },
  parentRef: { name: 'team-ml', namespace: 'platform' },
  children: { namespaceSelector: { matchLabels: { 'keyforge.dev/consumer': 'true' } } },
  issueToken: true,
  pools: [{ name: 'openai', namespace: 'keyforge-system' }, { name: 'anthropic' }],
  models: { allow: ['gpt-5.4-mini', 'claude-sonnet-*', '*'], deny: ['x'], aliases: { fast: 'gpt-5.4-mini', 'a b': 'c' } },
  endpoints: { allow: ['/v1/chat/completions', '/', '/v1beta/models/{model}:generateContent'] },
  limits: [
    { window: 'Month', usd: '50.00', requests: 20000, timeZone: 'Europe/Berlin' },
    { window: 'Day', usd: '5.00' },
    { window: 'Total', requests: 1 },
  ],
  rate: { requestsPerMinute: 60, tokensPerMinute: 100000, concurrentCalls: 8 },
  perRequest: { usd: '0.50', outputTokens: 8192 },
  expiresAt: '2026-12-01T00:00:00Z',
  suspended: false,
  run: { scope: 'Pod', usd: '5.00', ttl: '1h' },
  delegation: { maxDepth: 2, maxChildren: 100 },
  delivery: ['Sidecar', 'Gateway'],
  rotation: { every: '720h', overlap: '24h' },
  secretName: 'research-agent.token',
});

/** The same for pools. */
export const wholePool: CorpusManifest = pool({
  provider: 'OpenAICompatible',
  endpoint: 'http://models.internal:8000/openai',
  keys: [
    { name: 'proj-a', secretRef: { name: 'openai', key: 'proj-a' }, quotaScope: 'org-1/proj-a' },
    { name: 'proj-b.x', secretRef: { name: 'openai', key: '..x_Y-' } },
  ],
  consumers: [
    { namespaceSelector: { matchLabels: { 'keyforge.dev/consumer': 'true' } }, under: { name: 'team-ml', namespace: 'platform' } },
    { namespaceSelector: {}, under: { name: 'team' } },
  ],
  models: [
    {
      name: 'gpt-5.4-mini',
      upstreamName: 'deployment~1',
      maxOutputTokens: 128000,
      pricePerMillion: { input: '0.75', cachedInput: '0.075', cacheWrite: '0', output: '4.50', reasoning: '4.500000000' },
    },
    { name: 'other' },
  ],
  timeouts: { connect: '5s', firstByte: '24h', idle: '1h30m' },
  onDisconnect: 'Cancel',
  maxConnections: 10_000,
  sseKeepAlive: '15s',
});

/** What messages of amounts show. */
export const dollars: string = '"5.00"';
/** The largest count. */
export const whole: string = '9007199254740991';
/** What messages of durations show. */
export const durations: string = '"1h30m"';
/** All windows. */
export const windows: readonly string[] = ['Total', 'Hour', 'Day', 'Week', 'Month'];
/** All providers that are served. */
export const providers: readonly string[] = servedKinds;
/** Rule of object names. */
export const dnsName: string = 'is not a DNS-1123 name';
/** Rule of namespaces. */
export const dnsLabel: string = 'is not a DNS-1123 label';
/** Rule of models. */
export const modelName: string = '1 to 256 printable characters without spaces';
/** Rule of endpoints. */
export const url: string = 'must be an absolute http or https URL without user, query or fragment';
/** A text of a length. */
export const long = (length: number, letter = 'a'): string => letter.repeat(length);
