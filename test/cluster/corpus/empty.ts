import { type CorpusCase, endpoint, key, limit, pool, price } from './manifests.ts';

/** Fields left empty, never taken for absent ones: whoever wrote `limits:` meant to limit something. */
export const empty: readonly CorpusCase[] = [
  ...[
    'limits',
    'models',
    'endpoints',
    'rate',
    'perRequest',
    'expiresAt',
    'ttl',
    'pools',
    'parentRef',
    'suspended',
    'issueToken',
    'run',
    'delivery',
  ].map(
    (name): CorpusCase => ({
      what: `an empty ${name}`,
      manifest: key({ [name]: null }),
      wrong: `spec.${name}`,
      says: ['is empty; give it a value or remove it'],
    }),
  ),
  { what: 'an empty amount', manifest: limit({ requests: 5, usd: null }), wrong: 'spec.limits[0].usd', says: ['is empty'] },
  { what: 'an empty list of models', manifest: key({ models: { allow: null } }), wrong: 'spec.models.allow', says: ['is empty'] },
  { what: 'an empty bound of a run', manifest: key({ run: { usd: null } }), wrong: 'spec.run.usd', says: ['is empty'] },
  { what: 'an empty rate', manifest: key({ rate: { tokensPerMinute: null } }), wrong: 'spec.rate.tokensPerMinute', says: ['is empty'] },
  {
    what: 'empty labels of children',
    manifest: key({ children: { namespaceSelector: { matchLabels: null } } }),
    wrong: 'spec.children.namespaceSelector.matchLabels',
    says: ['is empty'],
  },
  {
    what: 'an empty label of children',
    manifest: key({ children: { namespaceSelector: { matchLabels: { a: null } } } }),
    wrong: 'spec.children.namespaceSelector.matchLabels.a',
    says: ['is empty'],
  },
  {
    what: 'an empty label of consumers',
    manifest: pool({ consumers: [{ namespaceSelector: {} }, { namespaceSelector: { matchLabels: { a: null } } }] }),
    wrong: 'spec.consumers[1].namespaceSelector.matchLabels.a',
    says: ['is empty'],
  },
  { what: 'an empty owner', manifest: key({ owner: { team: null } }), wrong: 'spec.owner.team', says: ['is empty'] },
  { what: 'an empty alias', manifest: key({ models: { aliases: { fast: null } } }), wrong: 'spec.models.aliases.fast', says: ['is empty'] },
  { what: 'an empty endpoint', manifest: endpoint(null), wrong: 'spec.endpoint', says: ['is empty'] },
  {
    what: 'an empty under',
    manifest: pool({ consumers: [{ namespaceSelector: {}, under: null }] }),
    wrong: 'spec.consumers[0].under',
    says: ['is empty'],
  },
  {
    what: 'empty labels of consumers',
    manifest: pool({ consumers: [{ namespaceSelector: { matchLabels: null } }] }),
    wrong: 'spec.consumers[0].namespaceSelector.matchLabels',
    says: ['is empty'],
  },
  { what: 'an empty price', manifest: price({ reasoning: null }), wrong: 'spec.models[0].pricePerMillion.reasoning', says: ['is empty'] },
];
