import { type CorpusCase, credential, dnsName, durations, endpoint, model, modelName, pool, price, providers, url } from './manifests.ts';

/** What is refused of ProviderPools. */
export const badPools: readonly CorpusCase[] = [
  { what: 'an unknown field of a pool', manifest: pool({ key: [] }), wrong: 'spec.key', says: ['unknown field'] },
  { what: 'a provider that is not served', manifest: pool({ provider: 'Vertex' }), wrong: 'spec.provider', says: providers },
  { what: 'a provider that does not exist', manifest: pool({ provider: 'openai' }), wrong: 'spec.provider', says: providers },
  {
    what: 'a provider without default endpoint',
    manifest: pool({ provider: 'AzureOpenAI' }),
    wrong: 'spec.endpoint',
    says: ['endpoint is required for AzureOpenAI, which has no default'],
  },
  ...[
    'https://u:p@host',
    'ftp://host',
    'https://host?x',
    'https://host/#x',
    'host',
    'https://',
    '',
    'https:host',
    'https://a b',
    'https://host\\x',
  ].map(
    (given): CorpusCase => ({
      what: `the endpoint ${JSON.stringify(given)}`,
      manifest: endpoint(given),
      wrong: 'spec.endpoint',
      says: [url],
    }),
  ),
  { what: 'an endpoint that is no text', manifest: endpoint(443), wrong: 'spec.endpoint', says: ['string'] },
  { what: 'a pool without keys', manifest: pool({ keys: [] }), wrong: 'spec.keys', says: ['at least'] },
  { what: 'a credential twice', manifest: pool({ keys: [credential, credential] }), wrong: 'spec.keys[1]', says: ['"a"'] },
  {
    what: 'a credential without name',
    manifest: pool({ keys: [{ secretRef: { name: 's', key: 'k' } }] }),
    wrong: 'spec.keys[0].name',
    says: ['equired'],
  },
  { what: 'a credential without Secret', manifest: pool({ keys: [{ name: 'a' }] }), wrong: 'spec.keys[0].secretRef', says: ['equired'] },
  {
    what: 'a credential in clear',
    manifest: pool({ keys: [{ name: 'a', value: 'x' }] }),
    wrong: 'spec.keys[0].value',
    says: ['unknown field'],
  },
  {
    what: 'half a reference',
    manifest: pool({ keys: [{ name: 'a', secretRef: { name: 's' } }] }),
    wrong: 'spec.keys[0].secretRef.key',
    says: ['equired'],
  },
  {
    what: 'a Secret of another namespace',
    manifest: pool({ keys: [{ name: 'a', secretRef: { name: 's', key: 'k', namespace: 'n' } }] }),
    wrong: 'spec.keys[0].secretRef.namespace',
    says: ['unknown field'],
  },
  {
    what: 'an item that is no name',
    manifest: pool({ keys: [{ name: 'a', secretRef: { name: 's', key: '..' } }] }),
    wrong: 'spec.keys[0].secretRef.key',
    says: ['is not the name of an item in a Secret'],
  },
  {
    what: 'a path for a Secret',
    manifest: pool({ keys: [{ name: 'a', secretRef: { name: '../s', key: 'k' } }] }),
    wrong: 'spec.keys[0].secretRef.name',
    says: [dnsName],
  },
  {
    what: 'a scope that is no text',
    manifest: pool({ keys: [{ ...credential, quotaScope: 1 }] }),
    wrong: 'spec.keys[0].quotaScope',
    says: ['string'],
  },
  {
    what: 'a consumer without selector',
    manifest: pool({ consumers: [{ under: { name: 'team' } }] }),
    wrong: 'spec.consumers[0].namespaceSelector',
    says: ['equired'],
  },
  {
    what: 'a consumer under nobody',
    manifest: pool({ consumers: [{ namespaceSelector: {}, under: {} }] }),
    wrong: 'spec.consumers[0].under.name',
    says: ['equired'],
  },
  {
    what: 'labels that are no text',
    manifest: pool({ consumers: [{ namespaceSelector: { matchLabels: { a: true } } }] }),
    wrong: 'spec.consumers[0].namespaceSelector.matchLabels.a',
    says: ['string'],
  },
  { what: 'no models', manifest: pool({ models: [] }), wrong: 'spec.models', says: ['at least'] },
  {
    what: 'a model twice',
    manifest: pool({ models: [{ name: 'm' }, { name: 'm', maxOutputTokens: 1 }] }),
    wrong: 'spec.models[1]',
    says: ['"m"'],
  },
  {
    what: 'a model that is a pattern',
    manifest: pool({ models: [{ name: 'm*' }] }),
    wrong: 'spec.models[0].name',
    says: ['"*" is for models.allow and models.deny'],
  },
  {
    what: 'an upstream model with a space',
    manifest: model({ upstreamName: 'a b' }),
    wrong: 'spec.models[0].upstreamName',
    says: [modelName],
  },
  { what: 'an answer of nothing', manifest: model({ maxOutputTokens: 0 }), wrong: 'spec.models[0].maxOutputTokens', says: ['1'] },
  {
    what: 'half a price',
    manifest: model({ pricePerMillion: { input: '1' } }),
    wrong: 'spec.models[0].pricePerMillion.output',
    says: ['equired'],
  },
  { what: 'a price as a number', manifest: price({ input: 1 }), wrong: 'spec.models[0].pricePerMillion.input', says: ['string'] },
  {
    what: 'a price with seven decimals',
    manifest: price({ output: '0.0000001' }),
    wrong: 'spec.models[0].pricePerMillion.output',
    says: ['"0.75"'],
  },
  {
    what: 'a price too large',
    manifest: price({ reasoning: '9007199.254741' }),
    wrong: 'spec.models[0].pricePerMillion.reasoning',
    says: ['"0.75"'],
  },
  ...['connect', 'firstByte', 'idle'].flatMap((name): readonly CorpusCase[] => {
    const wrong = `spec.timeouts.${name}`;
    return [
      { what: `${name} in milliseconds`, manifest: pool({ timeouts: { [name]: '500ms' } }), wrong, says: [durations] },
      { what: `no time for ${name}`, manifest: pool({ timeouts: { [name]: '0s' } }), wrong, says: ['must be longer than 0s'] },
      { what: `${name} of more than a day`, manifest: pool({ timeouts: { [name]: '24h1s' } }), wrong, says: ['must be at most 24h'] },
    ];
  }),
  {
    what: 'a limit of the whole call',
    manifest: pool({ timeouts: { total: '1h' } }),
    wrong: 'spec.timeouts.total',
    says: ['unknown field'],
  },
  {
    what: 'a disconnect in small letters',
    manifest: pool({ onDisconnect: 'cancel' }),
    wrong: 'spec.onDisconnect',
    says: ['Drain', 'Cancel'],
  },
  { what: 'no connections', manifest: pool({ maxConnections: 0 }), wrong: 'spec.maxConnections', says: ['1'] },
  { what: 'too many connections', manifest: pool({ maxConnections: 10_001 }), wrong: 'spec.maxConnections', says: ['10000'] },
  { what: 'a keep-alive that is a number', manifest: pool({ sseKeepAlive: 15 }), wrong: 'spec.sseKeepAlive', says: [] },
];
