import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseManifests } from '../../core/manifest/parse.ts';
import { formatProblem } from '../../core/problem.ts';
import { readYaml } from './yaml.ts';

// The example of the custom resources as the documentation prints it, comments and all.
const example = `kind: ProviderPool                       # namespaced, lives with the platform team; short name kfpool
metadata: {name: openai, namespace: keyforge-system}
spec:
  provider: OpenAI                       # OpenAI Anthropic Gemini AzureOpenAI Vertex Bedrock Mistral OpenRouter OpenAICompatible
  endpoint: https://api.openai.com       # optional: the provider's default
  keys:
  - name: proj-a
    secretRef: {name: openai, key: proj-a}
    quotaScope: org-1/proj-a             # keys of one scope share the provider's limits; default: one scope per key
  consumers:                             # nobody unless said
  - namespaceSelector: {matchLabels: {keyforge.dev/consumer: "true"}}     # {} = every namespace
    under: {name: team-ml, namespace: platform}                           # keys from there must descend from this key
  models:                                # additions and overrides to the built-in price book
  - {name: gpt-5.4-mini, upstreamName: gpt-5.4-mini, maxOutputTokens: 128000, pricePerMillion: {input: "0.75", cachedInput: "0.075", output: "4.50"}}
---
kind: VirtualKey                         # namespaced, lives with its users; short name vk
metadata: {name: research-agent, namespace: agents}
spec:
  owner: {team: ml, user: priya@company.com}          # attribution, copied into every entry
  labels: {project: atlas}                            # for chargeback, likewise
  parentRef: {name: team-ml, namespace: platform}     # optional
  children: {namespaceSelector: {}}                   # whose keys may name this one as parent; default: its own namespace
  issueToken: true
  pools: [{name: openai, namespace: keyforge-system}, {name: anthropic, namespace: keyforge-system}]   # in order of preference; required at a root
  models: {allow: ["gpt-5.4-mini", "claude-sonnet-*"], deny: [], aliases: {fast: gpt-5.4-mini}}        # absent allow = all that the pools price
  endpoints: {allow: ["/v1/chat/completions", "/v1/messages"]}       # route templates of docs/providers.md; default: all that can be metered
  limits:                                # one item a window: Total Hour Day Week Month
  - {window: Month, usd: "50.00", requests: 20000, timeZone: Etc/UTC}
  - {window: Day, usd: "5.00"}
  rate: {requestsPerMinute: 60, tokensPerMinute: 100000}
  perRequest: {usd: "0.50", outputTokens: 8192}
  expiresAt: 2026-12-01T00:00:00Z        # or ttl: 24h from creation
  suspended: false
  run: {scope: Pod, usd: "5.00", ttl: 1h}             # each Pod (or Job) gets a clean child account and expiry
  delegation: {maxDepth: 2, maxChildren: 100}          # the agent may mint child keys for its sub-agents
  delivery: [Sidecar]                    # Sidecar Gateway; standalone ignores it
  rotation: {every: 720h, overlap: 24h}
  secretName: research-agent             # where the token goes
status: {conditions: [Ready, Capped, ...], observedGeneration, keyHint: vk_…7xKm, spent, remaining, windowEndsAt, requestsUsed, activeProxies, secretName}
`;

const parsedExample = {
  virtualKeys: [
    {
      kind: 'VirtualKey',
      name: 'agents/research-agent',
      origin: { file: 'example.yaml', line: 16 },
      spec: {
        owner: { team: 'ml', user: 'priya@company.com' },
        labels: { project: 'atlas' },
        parentRef: 'platform/team-ml',
        children: { namespaceSelector: { matchLabels: {} } },
        issueToken: true,
        pools: ['keyforge-system/openai', 'keyforge-system/anthropic'],
        models: { allow: ['gpt-5.4-mini', 'claude-sonnet-*'], deny: [], aliases: { fast: 'gpt-5.4-mini' } },
        endpoints: { allow: ['/v1/chat/completions', '/v1/messages'] },
        limits: [
          { window: 'Month', usdNano: 50_000_000_000, requests: 20000, timeZone: 'Etc/UTC' },
          { window: 'Day', usdNano: 5_000_000_000, timeZone: 'Etc/UTC' },
        ],
        rate: { requestsPerMinute: 60, tokensPerMinute: 100000 },
        perRequest: { usdNano: 500_000_000, outputTokens: 8192 },
        expiresAtMs: Date.UTC(2026, 11, 1),
        suspended: false,
        run: { scope: 'Pod', usdNano: 5_000_000_000, ttlMs: 3_600_000 },
        delegation: { maxDepth: 2, maxChildren: 100 },
        delivery: ['Sidecar'],
        rotation: { everyMs: 2_592_000_000, overlapMs: 86_400_000 },
        secretName: 'research-agent',
      },
    },
  ],
  pools: [
    {
      kind: 'ProviderPool',
      name: 'keyforge-system/openai',
      origin: { file: 'example.yaml', line: 1 },
      provider: 'OpenAI',
      endpoint: 'https://api.openai.com',
      keys: [{ name: 'proj-a', secretRef: { name: 'openai', key: 'proj-a' }, quotaScope: 'org-1/proj-a' }],
      consumers: [{ namespaceSelector: { matchLabels: { 'keyforge.dev/consumer': 'true' } }, under: 'platform/team-ml' }],
      freeFields: [],
      models: [
        {
          name: 'gpt-5.4-mini',
          upstreamName: 'gpt-5.4-mini',
          maxOutputTokens: 128000,
          price: { input: 750_000, cachedInput: 75_000, output: 4_500_000 },
        },
      ],
    },
  ],
  namespaces: [],
  secrets: [],
};

describe('readYaml', () => {
  it('reads the documented example whole', () => {
    const { documents, problems } = readYaml('example.yaml', example);
    assert.deepEqual(problems, []);
    const parsed = parseManifests(documents);
    assert.deepEqual(parsed.problems, []);
    assert.deepEqual(parsed.manifests, parsedExample);
  });

  it('gives problems the line of the field, and a missing field the line of its parent', () => {
    const text =
      '# comment\n---\nkind: VirtualKey\nmetadata:\n  namespace: a\nspec:\n  limits:\n  - window: Day\n    usd: 5\n  models:\n    allow:\n    - ok\n    - ""\n';
    const { problems } = parseManifests(readYaml('team.yaml', text).documents);
    assert.deepEqual(
      problems.map(({ source, path }) => [source?.line, path]),
      [
        [4, 'metadata.name'],
        [9, 'spec.limits[0].usd'],
        [13, 'spec.models.allow[1]'],
      ],
    );
  });

  it('follows an alias when it looks for a line', () => {
    const text = 'spec: &s\n  ttl: 5\nagain: *s\n';
    const [document] = readYaml('a.yaml', text).documents;
    assert.equal(document?.lineOf(['again', 'ttl']), 2);
    assert.equal(document?.lineOf(['again', 'nothing']), undefined);
  });

  it('reads several documents and skips empty ones, each with its line', () => {
    const { documents } = readYaml('a.yaml', '---\n# nothing\n---\nttl: 1h\n---\nttl: 2h\n');
    assert.deepEqual(
      documents.map(({ line, value }) => [line, value]),
      [
        [4, { ttl: '1h' }],
        [6, { ttl: '2h' }],
      ],
    );
  });

  it('reads JSON, tabs and all', () => {
    const text = JSON.stringify({ kind: 'VirtualKey', metadata: { name: 'x' }, spec: { ttl: 5 } }, null, '\t');
    const { documents, problems } = readYaml('a.json', text);
    assert.deepEqual(problems, []);
    assert.deepEqual(parseManifests(documents).problems.map(formatProblem), [
      'a.json:7: spec.ttl: ttl must be a duration such as "90s", "15m", "24h" or "1h30m"',
    ]);
  });

  it('leaves timestamps and yes/no as the strings they are', () => {
    assert.deepEqual(readYaml('a.yaml', 'a: 2026-12-01T00:00:00Z\nb: yes\n').documents[0]?.value, { a: '2026-12-01T00:00:00Z', b: 'yes' });
  });

  it('refuses duplicate fields with their line', () => {
    const { documents, problems } = readYaml('a.yaml', 'spec:\n  ttl: 1h\n  ttl: 2h\n');
    assert.deepEqual(documents, []);
    assert.deepEqual(problems.map(formatProblem), ['a.yaml:3: not valid YAML: the same field is given twice in one mapping; keep one']);
  });

  it('refuses anchors that multiply', () => {
    const rows = Array.from(
      { length: 12 },
      (_, i) =>
        `l${i}: &l${i} [${
          i === 0
            ? 'x'
            : Array(10)
                .fill(`*l${i - 1}`)
                .join(', ')
        }]`,
    );
    const { documents, problems } = readYaml('bomb.yaml', rows.join('\n'));
    assert.deepEqual(documents, []);
    assert.deepEqual(problems.map(formatProblem), [
      'bomb.yaml: not readable: aliases (*name) multiply or nest beyond reason; write the values out',
    ]);
  });

  it('refuses nesting without end, tags and broken text', () => {
    for (const text of ['['.repeat(10_000), 'a: !!js/function x', 'a: !mine x', 'a: [', 'a: b: c', '\tx: y', '*nothing']) {
      const { documents, problems } = readYaml('a.yaml', text);
      assert.deepEqual(documents, [], text.slice(0, 20));
      assert.ok(problems.length > 0, text.slice(0, 20));
    }
  });

  it('never repeats the text of what it cannot read', () => {
    const canary = 'sk-canary-4711';
    for (const text of [
      `a: "${canary}`,
      `a: [${canary}`,
      `stringData:\n  k: ${canary}\n ${canary}: x\n`,
      `a: !${canary} x`,
      `a: *${canary}`,
      `- a\n${canary}`,
      `a: b: ${canary}`,
      `"${canary}" x`,
      `%${canary}\n---\n`,
    ]) {
      const messages = readYaml('a.yaml', text).problems.map(formatProblem);
      assert.ok(messages.length > 0 && !messages.join().includes('canary'), messages.join());
    }
  });
});
