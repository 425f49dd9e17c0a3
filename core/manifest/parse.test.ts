import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatProblem } from '../problem.ts';
import { parseManifests, type RawDocument } from './parse.ts';
import { servedKinds } from './providers.ts';

function document(value: unknown, file = 'a.yaml', line = 1): RawDocument {
  return { file, line, value, lineOf: () => undefined };
}

function key(spec: unknown, metadata: object = { name: 'bot', namespace: 'agents' }): object {
  return { apiVersion: 'keyforge.dev/v1alpha1', kind: 'VirtualKey', metadata, spec };
}

function pool(spec: object): object {
  const whole = { provider: 'OpenAI', keys: [{ name: 'a', secretRef: { name: 's', key: 'k' } }], ...spec };
  return { kind: 'ProviderPool', metadata: { name: 'openai', namespace: 'keyforge-system' }, spec: whole };
}

function problemsOf(...values: readonly unknown[]): readonly string[] {
  return parseManifests(values.map((value) => document(value))).problems.map((problem) => formatProblem(problem).replace('a.yaml:1: ', ''));
}

const badManifests: readonly (readonly [string, unknown, readonly string[]])[] = [
  ['an unknown field near a known one', key({ modles: {} }), ['spec.modles: unknown field "modles"; did you mean "models"?']],
  ['a field in the wrong letter case', key({ parentref: {} }), ['spec.parentref: unknown field "parentref"; did you mean "parentRef"?']],
  [
    'an unknown field far from all',
    key({ rate: { burst: 5 } }),
    ['spec.rate.burst: unknown field "burst"; allowed: requestsPerMinute, tokensPerMinute, concurrentCalls'],
  ],
  ['an empty field', key({ limits: null }), ['spec.limits: limits is empty; give it a value or remove it']],
  [
    'dollars as a number',
    key({ limits: [{ window: 'Day', usd: 5 }] }),
    ['spec.limits[0].usd: usd must be a quoted decimal string such as "5.00"'],
  ],
  [
    'a decimal comma',
    key({ limits: [{ window: 'Day', usd: '5,00' }] }),
    ['spec.limits[0].usd: usd "5,00" is not a decimal amount of dollars; write a quoted decimal string such as "5.00", at most 9 decimals'],
  ],
  ['no dollars a request', key({ perRequest: { usd: '0.00' } }), ['spec.perRequest.usd: usd must be greater than 0']],
  [
    'a window that does not exist',
    key({ limits: [{ window: 'Fortnight', usd: '5' }] }),
    ['spec.limits[0].window: window "Fortnight" is not one of Total, Hour, Day, Week, Month'],
  ],
  [
    'a window twice',
    key({
      limits: [
        { window: 'Day', usd: '5' },
        { window: 'Day', requests: 9 },
      ],
    }),
    ['spec.limits[1]: limits[1] is a second limit for window Day; keep one item a window'],
  ],
  ['a limit of nothing', key({ limits: [{ window: 'Day' }] }), ['spec.limits[0]: limits[0] limits nothing; give it usd, requests or both']],
  ['a limit without window', key({ limits: [{ usd: '5' }] }), ['spec.limits[0].window: window is required']],
  [
    'an unknown time zone',
    key({ limits: [{ window: 'Day', usd: '5', timeZone: 'Europe/Atlantis' }] }),
    [
      'spec.limits[0].timeZone: timeZone "Europe/Atlantis" is not a known time zone; write an IANA name such as "Etc/UTC" or "Europe/Berlin"',
    ],
  ],
  [
    'an offset for a time zone',
    key({ limits: [{ window: 'Day', usd: '5', timeZone: '+01:00' }] }),
    ['spec.limits[0].timeZone: timeZone "+01:00" is not a known time zone; write an IANA name such as "Etc/UTC" or "Europe/Berlin"'],
  ],
  [
    'a duration in days',
    key({ ttl: '1d' }),
    ['spec.ttl: ttl "1d" is not a duration; write hours, minutes, seconds such as "90s", "15m", "24h" or "1h30m"'],
  ],
  ['a duration as a number', key({ ttl: 90 }), ['spec.ttl: ttl must be a duration such as "90s", "15m", "24h" or "1h30m"']],
  ['no duration', key({ ttl: '0s' }), ['spec.ttl: ttl must be longer than 0s']],
  ['two ends', key({ ttl: '1h', expiresAt: '2026-12-01T00:00:00Z' }), ['spec.ttl: ttl and expiresAt are both given; keep one']],
  [
    'a day that does not exist',
    key({ expiresAt: '2026-02-30T00:00:00Z' }),
    ['spec.expiresAt: expiresAt must be a date and time with its zone, such as "2026-12-01T00:00:00Z"'],
  ],
  [
    'half a request',
    key({ rate: { requestsPerMinute: 0.5 } }),
    ['spec.rate.requestsPerMinute: requestsPerMinute must be a whole number from 1 to 9007199254740991, without quotes'],
  ],
  [
    'a count in quotes',
    key({ delegation: { maxDepth: '2', maxChildren: 5 } }),
    ['spec.delegation.maxDepth: maxDepth must be a whole number from 1 to 9007199254740991, without quotes'],
  ],
  ['a label that is no string', key({ labels: { cost: 5 } }), ['spec.labels.cost: cost must be a string; quote it']],
  [
    'a time zone in lower case',
    key({ limits: [{ window: 'Day', usd: '5', timeZone: 'europe/berlin' }] }),
    ['spec.limits[0].timeZone: timeZone "europe/berlin" is not a known time zone; write an IANA name such as "Etc/UTC" or "Europe/Berlin"'],
  ],
  [
    'an hour that no clock shows',
    key({ expiresAt: '2026-12-01T24:00:00Z' }),
    ['spec.expiresAt: expiresAt must be a date and time with its zone, such as "2026-12-01T00:00:00Z"'],
  ],
  [
    'more of anything than there may be',
    key({
      owner: { team: 'x'.repeat(257) },
      endpoints: { allow: Array(65).fill('/') },
      models: { aliases: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`a${i}`, 'm'])) },
    }),
    [
      'spec.owner.team: team may not be more than 256 characters',
      'spec.endpoints.allow: allow must have at most 64 items',
      'spec.models.aliases: aliases must have at most 64 items',
    ],
  ],
  [
    'half a surrogate pair',
    key({ owner: { team: '\ud800' } }),
    ['spec.owner.team: team has half a surrogate pair; write whole characters'],
  ],
  ['a flag in words', key({ suspended: 'yes' }), ['spec.suspended: suspended must be true or false']],
  ['a list that is none', key({ pools: { name: 'openai' } }), ['spec.pools: pools must be a list']],
  ['no pools', key({ pools: [] }), ['spec.pools: pools must have at least one item']],
  [
    'a pool twice',
    key({ pools: [{ name: 'a' }, { name: 'a', namespace: 'agents' }] }),
    ['spec.pools[1]: pools[1] repeats "agents/a"; keep one'],
  ],
  [
    'a route with a query',
    key({ endpoints: { allow: ['/v1/x?y'] } }),
    ['spec.endpoints.allow[0]: allow[0] must be a route such as "/v1/chat/completions", without host, query or "*"'],
  ],
  [
    'an alias to a pattern',
    key({ models: { aliases: { fast: 'gpt-*' } } }),
    ['spec.models.aliases.fast: fast must be the name of one model; "*" is for models.allow and models.deny'],
  ],
  [
    'a model of nothing',
    key({ models: { allow: [''] } }),
    ['spec.models.allow[0]: allow[0] must be the name of a model: 1 to 256 printable characters without spaces'],
  ],
  [
    'an overlap as long as the rotation',
    key({ rotation: { every: '1h', overlap: '60m' } }),
    ['spec.rotation.overlap: overlap must be shorter than every'],
  ],
  [
    'a place that does not exist',
    key({ delivery: ['Sidecars'] }),
    ['spec.delivery[0]: delivery[0] "Sidecars" is not one of Sidecar, Gateway; did you mean "Sidecar"?'],
  ],
  [
    'names that Kubernetes refuses',
    key({ secretName: '-x' }, { name: 'Bot_1', namespace: 'a.b' }),
    [
      'metadata.name: name is not a DNS-1123 name: at most 253 characters, parts joined by ".", each of lower-case letters, digits and "-", beginning and ending with a letter or digit',
      'metadata.namespace: namespace is not a DNS-1123 label: at most 63 characters, lower-case letters, digits and "-", beginning and ending with a letter or digit',
      'spec.secretName: secretName is not a DNS-1123 name: at most 253 characters, parts joined by ".", each of lower-case letters, digits and "-", beginning and ending with a letter or digit',
    ],
  ],
  ['no spec', { kind: 'VirtualKey', metadata: { name: 'bot' } }, ['spec: spec is required']],
  ['no name', key({}, {}), ['metadata.name: name is required']],
  [
    'another version',
    { ...key({}), apiVersion: 'keyforge.dev/v1' },
    ['apiVersion: apiVersion "keyforge.dev/v1" is not one of keyforge.dev/v1alpha1; did you mean "keyforge.dev/v1alpha1"?'],
  ],
  [
    'another kind',
    { kind: 'Virtualkeys' },
    ['kind: kind "Virtualkeys" is not one of VirtualKey, ProviderPool, Namespace, Secret; did you mean "VirtualKey"?'],
  ],
  [
    'metadata without kind',
    { metadata: { name: 'x' }, spec: {} },
    ['kind: kind is required: one of VirtualKey, ProviderPool, Namespace, Secret'],
  ],
  ['a document that is a word', 'hello', [expectedFields()]],
  [
    'what YAML makes of a tag (!!set, !!omap, !!timestamp), whose entries are no fields',
    key({ perRequest: new Set(['usd']), owner: new Map([['team', 'ml']]), models: new Date(0) }),
    [
      'spec.perRequest: perRequest must be a mapping with the fields usd, outputTokens',
      'spec.owner: owner must be a mapping',
      'spec.models: models must be a mapping with the fields allow, deny, aliases',
    ],
  ],
  [
    'a provider that is not served',
    pool({ provider: 'Vertex' }),
    [`spec.provider: provider Vertex is not served by this version; served: ${servedKinds.join(', ')}`],
  ],
  [
    'a provider without default endpoint',
    pool({ provider: 'OpenAICompatible' }),
    ['spec.endpoint: endpoint is required for OpenAICompatible, which has no default'],
  ],
  [
    'an endpoint with a password',
    pool({ endpoint: 'https://u:hunter2@host' }),
    ['spec.endpoint: endpoint must be an absolute http or https URL without user, query or fragment'],
  ],
  [
    'an endpoint that only browsers read as a URL',
    pool({ endpoint: 'https:host' }),
    ['spec.endpoint: endpoint must be an absolute http or https URL without user, query or fragment'],
  ],
  ['a pool without keys', pool({ keys: [] }), ['spec.keys: keys must have at least one item']],
  [
    'a consumer without selector',
    pool({ consumers: [{ under: { name: 'team' } }] }),
    ['spec.consumers[0].namespaceSelector: namespaceSelector is required'],
  ],
  [
    'a price as a number',
    pool({ models: [{ name: 'm', pricePerMillion: { input: 1, output: '0.0000001' } }] }),
    [
      'spec.models[0].pricePerMillion.input: input must be a quoted decimal string such as "0.75"',
      'spec.models[0].pricePerMillion.output: output "0.0000001" is not a decimal amount of dollars per million tokens with at most 6 decimals, such as "0.75"',
    ],
  ],
  [
    'a fee that is no decimal string',
    pool({ models: [{ name: 'm', pricePerThousand: { webSearch: 10, request: '0.0000001' } }] }),
    [
      'spec.models[0].pricePerThousand.webSearch: webSearch must be a quoted decimal string such as "0.75"',
      'spec.models[0].pricePerThousand.request: request "0.0000001" is not a decimal amount of dollars per thousand calls with at most 6 decimals, such as "0.75"',
    ],
  ],
  [
    'a body field that no JSON API has',
    pool({ freeFields: ['a b'], freeErrors: 'yes' }),
    [
      'spec.freeFields[0]: freeFields[0] must be the name of a body field: letters, digits and "_", at most 128',
      'spec.freeErrors: freeErrors must be true or false',
    ],
  ],
  [
    'waits, connections and a disconnect that a pool cannot have',
    pool({
      timeouts: { connect: '0s', firstByte: 600, idle: '25h', total: '1h' },
      ...{ onDisconnect: 'drain', maxConnections: 10_001, sseKeepAlive: '500ms' },
    }),
    [
      'spec.timeouts.connect: connect must be longer than 0s',
      'spec.timeouts.firstByte: firstByte must be a duration such as "90s", "15m", "24h" or "1h30m"',
      'spec.timeouts.idle: idle must be at most 24h',
      'spec.timeouts.total: unknown field "total"; allowed: connect, firstByte, idle',
      'spec.onDisconnect: onDisconnect "drain" is not one of Drain, Cancel; did you mean "Drain"?',
      'spec.maxConnections: maxConnections must be a whole number from 1 to 10000, without quotes',
      'spec.sseKeepAlive: sseKeepAlive "500ms" is not a duration; write hours, minutes, seconds such as "90s", "15m", "24h" or "1h30m"',
    ],
  ],
  [
    'half a price',
    pool({ models: [{ name: 'm', pricePerMillion: { input: '1' } }] }),
    ['spec.models[0].pricePerMillion.output: output is required'],
  ],
];

function expectedFields(): string {
  const fields =
    'owner, labels, parentRef, children, issueToken, pools, models, endpoints, limits, rate, perRequest, expiresAt, ttl, suspended, run, delegation, delivery, rotation, secretName';
  return `the document must be a mapping with the fields ${fields}`;
}

describe('parseManifests', () => {
  for (const [what, value, expected] of badManifests) {
    it(`refuses ${what}`, () => assert.deepEqual(problemsOf(value), expected));
  }

  it('reports every problem of every document at once, and gives the good documents', () => {
    const { manifests, problems } = parseManifests([
      document(key({ ttl: 1, limits: [{ window: 'Day', usd: 1 }] }), 'bad.yaml', 7),
      document(key({ limits: [] }, { name: 'good' })),
    ]);
    assert.deepEqual(problems.map(formatProblem), [
      'bad.yaml:7: spec.ttl: ttl must be a duration such as "90s", "15m", "24h" or "1h30m"',
      'bad.yaml:7: spec.limits[0].usd: usd must be a quoted decimal string such as "5.00"',
    ]);
    assert.deepEqual(
      manifests.virtualKeys.map(({ name }) => name),
      ['default/good'],
    );
  });

  it('refuses the second definition of one object and says where the first is', () => {
    const { problems } = parseManifests([document(key({}), 'a.yaml', 3), document(key({}), 'b.yaml', 9)]);
    assert.deepEqual(problems.map(formatProblem), ['b.yaml:9: VirtualKey agents/bot is defined twice; the first is at a.yaml:3']);
  });

  it('reads a document without kind as a VirtualKey named after its file', () => {
    const names = ['/x/agent.policy.yaml', 'My Agent_2.yml', 'C:\\work\\bot.policy.json', '__.yaml'].map(
      (file) => parseManifests([document({ issueToken: true }, file)]).manifests.virtualKeys[0]?.name,
    );
    assert.deepEqual(names, ['default/agent', 'default/my-agent-2', 'default/bot', 'default/agent']);
  });

  it('passes over empty documents, and over what the API server writes', () => {
    const served = {
      name: 'bot',
      uid: 'x',
      resourceVersion: '1',
      creationTimestamp: null,
      generation: 2,
      managedFields: [],
      ownerReferences: [],
      finalizers: [],
    };
    const { manifests, problems } = parseManifests([document(null), document({ ...key({}, served), status: { anything: 1 } })]);
    assert.deepEqual(problems, []);
    assert.equal(manifests.virtualKeys.length, 1);
  });

  it('reads durations, combined ones too, and instants with an offset', () => {
    const { manifests } = parseManifests([
      document(key({ ttl: '1h30m', rotation: { every: '720h', overlap: '0s' }, run: { ttl: '90s' } }, { name: 'a' })),
      document(key({ expiresAt: '2026-12-01T01:00:00.5+01:00' }, { name: 'b' })),
    ]);
    const [a, b] = manifests.virtualKeys.map(({ spec }) => spec);
    assert.equal(a?.ttlMs, 5_400_000);
    assert.deepEqual(a?.rotation, { everyMs: 2_592_000_000, overlapMs: 0 });
    assert.deepEqual(a?.run, { ttlMs: 90_000 });
    assert.equal(b?.expiresAtMs, Date.UTC(2026, 11, 1, 0, 0, 0, 500));
  });

  it('keeps names such as __proto__ as plain data', () => {
    const value: unknown = JSON.parse(
      '{"kind":"VirtualKey","metadata":{"name":"x"},"spec":{"labels":{"__proto__":"a","constructor":"b"}}}',
    );
    const labels = parseManifests([document(value)]).manifests.virtualKeys[0]?.spec.labels;
    assert.deepEqual(Object.entries(labels ?? {}), [
      ['__proto__', 'a'],
      ['constructor', 'b'],
    ]);
    assert.deepEqual(problemsOf(JSON.parse('{"kind":"VirtualKey","metadata":{"name":"x"},"spec":{"__proto__":{}}}')).length, 1);
  });
});

describe('Secrets among manifests', () => {
  const canary = 'sk-canary-4711';

  it('gives stringData and decoded data, stringData first', () => {
    const value = {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'Opaque',
      metadata: { name: 's' },
      data: { a: 'aGVsbG8=', b: 'eA==' },
      stringData: { b: 'y' },
    };
    assert.deepEqual(
      parseManifests([document(value)]).manifests.secrets.map(({ name, data }) => ({ name, data })),
      [{ name: 'default/s', data: { a: 'hello', b: 'y' } }],
    );
  });

  it('never repeats a value in a problem, nor a name that may be a credential', () => {
    const secret = (fields: object) => ({ kind: 'Secret', metadata: { name: 's' }, ...fields });
    const problems = problemsOf(
      secret({ data: { a: `${canary}!` } }),
      secret({ stringData: { [`a:${canary}`]: null } }),
      secret({ stringData: { a: { b: canary } } }),
      secret({ stringData: canary }),
      secret({ data: [canary] }),
      pool({ keys: [{ name: 'a', secretRef: canary }] }),
      pool({ keys: [{ name: 'a', secretRef: { name: `${canary}_X`, key: `${canary} x` } }] }),
      pool({ keys: [canary] }),
      pool({ keys: [{ name: 'a', secretRef: { name: 's', [`key:${canary}`]: null } }] }),
    );
    assert.equal(problems.length, 12);
    assert.ok(!problems.join('\n').includes('canary'), problems.join('\n'));
  });
});

describe('Namespaces among manifests', () => {
  it('gives name and labels', () => {
    const value = {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'agents', labels: { team: 'ml' } },
      spec: { finalizers: [] },
      status: {},
    };
    const { namespaces } = parseManifests([document(value)]).manifests;
    assert.deepEqual(
      namespaces.map(({ name, labels }) => ({ name, labels })),
      [{ name: 'agents', labels: { team: 'ml' } }],
    );
  });
});
