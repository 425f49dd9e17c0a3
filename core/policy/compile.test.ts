import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { describe, it } from 'node:test';
import {
  emptySpec,
  type Namespace,
  type PoolConsumer,
  type ProviderPool,
  type VirtualKey,
  type VirtualKeySpec,
} from '../manifest/types.ts';
import { type KeyName, keyName, type PoolName, poolName } from '../names.ts';
import { describeProblem, formatProblem } from '../problem.ts';
import { type ChildKey, type CompileInput, compile } from './compile.ts';
import type { KeyDocument } from './documents.ts';

const origin = { file: 'm.yaml', line: 1 };
const openai = poolName('keyforge-system', 'openai');
const anthropic = poolName('keyforge-system', 'anthropic');
const everyone: readonly PoolConsumer[] = [{ namespaceSelector: { matchLabels: {} } }];

function vk(name: string, spec: Partial<VirtualKeySpec> = {}): VirtualKey {
  return { kind: 'VirtualKey', name: name as KeyName, origin, spec: { ...emptySpec, ...spec } };
}

function pool(name: PoolName, consumers: readonly PoolConsumer[] = everyone, more: Partial<ProviderPool> = {}): ProviderPool {
  const keys = [{ name: 'a', secretRef: { name: 's', key: 'k' }, quotaScope: 'org' }];
  return { kind: 'ProviderPool', name, origin, provider: 'OpenAI', keys, consumers, models: [], freeFields: [], ...more };
}

function namespace(name: string, labels: Readonly<Record<string, string>>): Namespace {
  return { kind: 'Namespace', name, origin, labels };
}

interface World {
  readonly keys: readonly VirtualKey[];
  readonly pools?: readonly ProviderPool[];
  readonly namespaces?: readonly Namespace[];
  readonly children?: readonly ChildKey[];
  readonly createdAtMs?: CompileInput['createdAtMs'];
  readonly isServed?: CompileInput['isServed'];
}

function run({ keys, pools = [pool(openai), pool(anthropic)], namespaces = [], children = [], ...more }: World) {
  const { createdAtMs = () => 1000, isServed = () => false } = more;
  const { compiled, problems, withdrawn } = compile({
    manifests: { virtualKeys: keys, pools, namespaces, secrets: [] },
    createdAtMs,
    children,
    isServed,
    book: () => [],
    learned: () => ({}),
    digest: (text) => `sha256:${hash('sha256', text)}`,
  });
  return { compiled, withdrawn, problems: problems.map((problem) => formatProblem(problem).replace('m.yaml:1: ', '')) };
}

function documentOf(world: World, name: string): KeyDocument {
  const { compiled, problems } = run(world);
  assert.deepEqual(problems, []);
  const found = compiled.keys.find(({ key }) => key === name);
  assert.ok(found, `no document for ${name}`);
  return found;
}

const team = vk('platform/team', { issueToken: false, pools: [openai, anthropic], children: { namespaceSelector: { matchLabels: {} } } });
const teamRef = { parentRef: keyName('platform', 'team') };

describe('the tree', () => {
  it('refuses an unknown parent and names the nearest', () => {
    const { problems } = run({
      keys: [team, vk('agents/bot', { parentRef: keyName('platform', 'teams') }), vk('agents/x', { parentRef: keyName('a', 'b') })],
    });
    assert.deepEqual(problems, [
      'spec.parentRef: VirtualKey agents/bot names the parent platform/teams, which does not exist; did you mean platform/team?',
      'spec.parentRef: VirtualKey agents/x names the parent a/b, which does not exist; create that VirtualKey or remove parentRef',
    ]);
  });

  it('refuses a cycle and reports it once, even if other keys descend from it', () => {
    const keys = [
      ['c', 'a'],
      ['a', 'b'],
      ['b', 'c'],
      ['d', 'a'],
    ].map(([name, parent]) => vk(`n/${name}`, { parentRef: keyName('n', `${parent}`) }));
    assert.deepEqual(run({ keys }).problems, [
      'spec.parentRef: VirtualKey n/a is its own ancestor: n/a → n/b → n/c → n/a; cut one parentRef',
    ]);
    assert.equal(run({ keys: [vk('n/a', { parentRef: keyName('n', 'a') })] }).problems.length, 1);
  });

  it('refuses a path that is too deep, and takes no longer for a chain of keys than for as many separate keys', () => {
    const chain = Array.from({ length: 3_000 }, (_, index) =>
      vk(`n/k${index}`, index === 0 ? { pools: [openai] } : { parentRef: keyName('n', `k${index - 1}`) }),
    );
    const { problems, compiled } = run({ keys: chain });
    assert.equal(compiled.keys.length, 16);
    assert.equal(problems.length, 3_000 - 16);
    assert.equal(problems[0], 'spec.parentRef: VirtualKey n/k16 has more than 15 ancestors; name a parent nearer to the root');
  });

  it('suggests nothing among very many keys: to compare each with all would take minutes', () => {
    const keys = Array.from({ length: 3_000 }, (_, index) => vk(`n/k${index}`, { parentRef: keyName('n', `missing-${index}`) }));
    const { problems } = run({ keys });
    assert.equal(problems.length, 3_000);
    assert.match(problems[0] ?? '', /create that VirtualKey or remove parentRef$/);
  });

  it('accepts children from its own namespace only, unless the key says otherwise', () => {
    const closed = vk('platform/org', { pools: [openai] });
    const ofOrg = { parentRef: closed.name };
    assert.deepEqual(run({ keys: [closed, vk('platform/a', ofOrg), vk('agents/b', ofOrg)] }).problems, [
      'spec.parentRef: VirtualKey agents/b may not name the parent platform/org, which accepts no children from namespace agents; set spec.children there, for example to {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: agents}}}',
    ]);
    const labelled = vk('platform/org', { pools: [openai], children: { namespaceSelector: { matchLabels: { tier: 'agents' } } } });
    assert.deepEqual(run({ keys: [labelled, vk('agents/b', ofOrg)], namespaces: [namespace('agents', { tier: 'agents' })] }).problems, []);
    // A selector replaces the default: its own namespace is no longer included.
    assert.equal(run({ keys: [labelled, vk('platform/a', ofOrg)] }).problems.length, 1);
  });

  it('plans accounts for every node, and gives documents to those with a token', () => {
    const { compiled } = run({
      keys: [team, vk('agents/bot', { ...teamRef, limits: [{ window: 'Day', usdNano: 5, timeZone: 'Etc/UTC' }] })],
    });
    assert.deepEqual(
      compiled.keys.map(({ key, path }) => [key, path]),
      [['agents/bot', ['platform/team']]],
    );
    assert.deepEqual(compiled.plans, [
      { key: 'platform/team', path: ['platform/team'], nodes: [{ key: 'platform/team', limits: [], rate: {} }] },
      {
        key: 'agents/bot',
        path: ['platform/team', 'agents/bot'],
        nodes: [
          { key: 'platform/team', limits: [], rate: {} },
          { key: 'agents/bot', limits: [{ window: 'Day', usdNano: 5, timeZone: 'Etc/UTC' }], rate: {} },
        ],
      },
    ]);
  });
});

describe('pools and their consent', () => {
  it('refuses unknown pools, and roots without any', () => {
    assert.deepEqual(
      run({ keys: [vk('n/a', { pools: [poolName('keyforge-system', 'opnai')] }), vk('n/b'), vk('n/c', { pools: [poolName('x', 'y')] })] })
        .problems,
      [
        'spec.pools: VirtualKey n/a names the pool keyforge-system/opnai, which does not exist; did you mean keyforge-system/openai?',
        'spec.pools: VirtualKey n/b has no parent to inherit pools from; name at least one in spec.pools',
        'spec.pools: VirtualKey n/c names the pool x/y, which does not exist; known: keyforge-system/openai, keyforge-system/anthropic',
      ],
    );
  });

  it('admits nobody by default, and says what to add', () => {
    assert.deepEqual(run({ keys: [vk('agents/bot', { pools: [openai] })], pools: [pool(openai, [])] }).problems, [
      "spec.pools: VirtualKey agents/bot uses the pool keyforge-system/openai, which does not admit it; add to the pool's spec.consumers: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: agents}}}",
    ]);
  });

  it('takes a pool from keys that are active with the same manifest, and lets no other key name a pool that refuses it', () => {
    const keys = [vk('agents/bot', { pools: [openai, anthropic] }), vk('agents/new', { pools: [openai] })];
    const isServed: CompileInput['isServed'] = (key) => key === 'agents/bot';
    for (const pools of [[pool(anthropic)], [pool(openai, []), pool(anthropic)]]) {
      const { compiled, problems, withdrawn } = run({ keys, pools, isServed });
      assert.deepEqual(
        compiled.keys.map(({ key, pools }) => [key, pools]),
        [
          ['agents/bot', [anthropic]],
          ['agents/new', []],
        ],
      );
      assert.equal(problems.length, 1);
      assert.match(problems[0] ?? '', /VirtualKey agents\/new .* pool keyforge-system\/openai/);
      assert.match(withdrawn.map((problem) => describeProblem(problem)).join(), /^VirtualKey agents\/bot .* pool keyforge-system\/openai/);
    }
  });

  it('reads the labels of Namespace manifests, and the name of every namespace', () => {
    const keys = [vk('agents/bot', { pools: [openai] })];
    const admitted = (matchLabels: Readonly<Record<string, string>>, namespaces: readonly Namespace[] = []) =>
      run({ keys, pools: [pool(openai, [{ namespaceSelector: { matchLabels } }])], namespaces }).problems.length === 0;
    assert.equal(admitted({}), true);
    assert.equal(admitted({ 'kubernetes.io/metadata.name': 'agents' }), true);
    assert.equal(admitted({ 'kubernetes.io/metadata.name': 'agents' }, [namespace('agents', {})]), true);
    assert.equal(admitted({ a: 'b' }), false);
    assert.equal(admitted({ a: 'b' }, [namespace('agents', { a: 'b' })]), true);
    assert.equal(admitted({ a: 'b', c: 'd' }, [namespace('agents', { a: 'b' })]), false);
    assert.equal(admitted({ 'kubernetes.io/metadata.name': 'x' }, [namespace('agents', { 'kubernetes.io/metadata.name': 'x' })]), false);
    assert.equal(admitted({ constructor: 'x' }, [namespace('agents', {})]), false);
  });

  it('lets no key escape the team that a pool is meant for', () => {
    const pools = [pool(openai, [{ namespaceSelector: { matchLabels: {} }, under: team.name }]), pool(anthropic)];
    const held = vk('platform/team', { ...team.spec, issueToken: true });
    assert.deepEqual(
      run({ keys: [held, vk('agents/bot', teamRef)], pools }).compiled.keys.map(({ pools: open }) => open),
      [
        [openai, anthropic],
        [openai, anthropic],
      ],
    );
    assert.deepEqual(run({ keys: [team, vk('agents/loner', { pools: [openai] })], pools }).problems, [
      "spec.pools: VirtualKey agents/loner uses the pool keyforge-system/openai, which admits namespace agents only under platform/team; set parentRef so that the key descends from there, or add to the pool's spec.consumers: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: agents}}}",
    ]);
  });

  it('leaves inherited pools out that do not admit the key, and refuses when none is left', () => {
    const closedOne = [pool(openai, []), pool(anthropic)];
    assert.deepEqual(documentOf({ keys: [team, vk('agents/bot', teamRef)], pools: closedOne }, 'agents/bot').pools, [anthropic]);
    const { problems } = run({ keys: [team, vk('agents/bot', teamRef)], pools: [pool(openai, []), pool(anthropic, [])] });
    assert.equal(problems.length, 2);
  });

  it('keeps the order of the nearest node and what every list on the path names', () => {
    const keys = [
      team,
      vk('agents/a', { ...teamRef, pools: [anthropic, openai] }),
      vk('agents/b', { parentRef: keyName('agents', 'a'), pools: [openai] }),
    ];
    assert.deepEqual(documentOf({ keys }, 'agents/a').pools, [anthropic, openai]);
    assert.deepEqual(documentOf({ keys }, 'agents/b').pools, [openai]);
    const narrow = vk('platform/team', { ...team.spec, pools: [anthropic] });
    assert.deepEqual(run({ keys: [narrow, vk('agents/bot', { ...teamRef, pools: [openai] })] }).problems, [
      'spec.pools: VirtualKey agents/bot has no pool: no pool is in every list on its path; name one that its ancestors name too',
    ]);
  });

  it('fills in the default endpoint, and refuses a pool that has none', () => {
    const keys = [vk('n/a', { pools: [openai] })];
    assert.equal(run({ keys }).compiled.pools[0]?.endpoint, 'https://api.openai.com');
    assert.deepEqual(run({ keys, pools: [pool(openai, everyone, { provider: 'OpenAICompatible' })] }).problems, [
      'spec.endpoint: ProviderPool keyforge-system/openai needs an endpoint: OpenAICompatible has no default',
    ]);
  });

  it('carries the waits, the connections and the disconnect of a pool into its document, and nothing if it has none', () => {
    const own = { timeouts: { idleMs: 60_000 }, onDisconnect: 'Cancel', maxConnections: 8, sseKeepAliveMs: 15_000 } as const;
    const given = run({ keys: [], pools: [pool(openai, everyone, own)] }).compiled.pools[0];
    const plain = run({ keys: [] }).compiled.pools[0];
    assert.deepEqual(given, { ...plain, ...own });
    assert.ok(plain !== undefined && Object.keys(own).every((name) => !(name in plain)));
  });

  it('carries no reference to credentials into pool documents', () => {
    assert.deepEqual(run({ keys: [] }).compiled.pools[0]?.keys, [{ name: 'a', quotaScope: 'org' }]);
  });
});

describe('the effective policy', () => {
  it('narrows every field along the path', () => {
    const parent = vk('n/org', {
      pools: [openai],
      owner: { team: 'ml', region: 'eu' },
      labels: { a: '1' },
      models: { allow: ['gpt-*'], deny: ['gpt-4*'], aliases: { fast: 'gpt-5-nano', slow: 'gpt-5' } },
      endpoints: { allow: ['/a', '/b'] },
      limits: [{ window: 'Month', usdNano: 70, timeZone: 'Etc/UTC' }],
      perRequest: { usdNano: 9, outputTokens: 100 },
      ttlMs: 500,
      delegation: { maxDepth: 2, maxChildren: 3 },
    });
    const child = vk('n/bot', {
      parentRef: parent.name,
      owner: { team: 'nlp' },
      models: { allow: ['gpt-5*'], deny: ['gpt-4*', 'x'], aliases: { fast: 'gpt-5-mini' } },
      endpoints: { allow: ['/b', '/c'] },
      limits: [{ window: 'Day', usdNano: 90, requests: 5, timeZone: 'Etc/UTC' }],
      perRequest: { usdNano: 99 },
      expiresAtMs: 2000,
      delegation: { maxDepth: 9, maxChildren: 1 },
    });
    const { digest, ...document } = documentOf({ keys: [parent, child] }, 'n/bot');
    assert.match(digest, /^sha256:[0-9a-f]{64}$/);
    assert.deepEqual(document, {
      key: 'n/bot',
      path: ['n/org'],
      owner: { team: 'nlp', region: 'eu' },
      labels: { a: '1' },
      pools: [openai],
      models: { allow: [['gpt-*'], ['gpt-5*']], deny: ['gpt-4*', 'x'], aliases: { fast: 'gpt-5-mini', slow: 'gpt-5' } },
      endpoints: ['/b'],
      perRequest: { usdNano: 9, outputTokens: 100 },
      smallestCapNano: 70,
      counted: true,
      expiresAtMs: 1500,
      delegation: { maxDepth: 2, maxChildren: 1 },
    });
  });

  it('says nothing where nothing was said', () => {
    const { digest: _, ...document } = documentOf({ keys: [vk('n/a', { pools: [openai] })] }, 'n/a');
    assert.deepEqual(document, {
      key: 'n/a',
      path: [],
      owner: {},
      labels: {},
      pools: [openai],
      models: { allow: [], deny: [], aliases: {} },
      perRequest: {},
      counted: false,
    });
  });

  it('has the smallest rate of its path', () => {
    const parent = vk('n/org', { pools: [openai], rate: { requestsPerMinute: 5 } });
    const child = vk('n/bot', { parentRef: keyName('n', 'org'), rate: { requestsPerMinute: 9, tokensPerMinute: 1 } });
    assert.equal(documentOf({ keys: [parent, child] }, 'n/bot').requestsPerMinute, 5);
  });

  it('has the limit of concurrent calls of each node of its path, which takes from no account', () => {
    const org = vk('n/org', { pools: [openai], rate: { concurrentCalls: 8 } });
    const team = vk('n/team', { parentRef: keyName('n', 'org') });
    const bot = vk('n/bot', { parentRef: keyName('n', 'team'), rate: { concurrentCalls: 2 } });
    const { concurrentCalls, counted } = documentOf({ keys: [org, team, bot] }, 'n/bot');
    assert.deepEqual(
      [concurrentCalls, counted],
      [
        [
          { key: 'n/org', calls: 8 },
          { key: 'n/bot', calls: 2 },
        ],
        false,
      ],
    );
  });

  it('counts requests for a quota or a rate anywhere on the path', () => {
    for (const spec of [{ rate: { tokensPerMinute: 5 } }, { limits: [{ window: 'Day', requests: 5, timeZone: 'Etc/UTC' }] }] as const) {
      const keys = [vk('n/p', { pools: [openai], ...spec }), vk('n/a', { parentRef: keyName('n', 'p') })];
      assert.equal(documentOf({ keys }, 'n/a').counted, true);
    }
  });

  it('names the nearest suspended node, and leaves a ttl out until the key was seen', () => {
    const keys = [
      vk('n/a', { pools: [openai], suspended: true }),
      vk('n/b', { parentRef: keyName('n', 'a'), suspended: true }),
      vk('n/c', { parentRef: keyName('n', 'b'), ttlMs: 5 }),
    ];
    const document = documentOf({ keys, createdAtMs: () => undefined }, 'n/c');
    assert.equal(document.suspendedBy, 'n/b');
    assert.equal(document.expiresAtMs, undefined);
  });

  it('has the same digest for the same policy, and another for another', () => {
    const digestOf = (spec: Partial<VirtualKeySpec>) => documentOf({ keys: [vk('n/a', { pools: [openai], ...spec })] }, 'n/a').digest;
    assert.equal(digestOf({ labels: { a: '1', b: '2' } }), digestOf({ labels: { b: '2', a: '1' } }));
    assert.notEqual(digestOf({ labels: { a: '1' } }), digestOf({ labels: { a: '2' } }));
  });
});

describe('sub-agent keys', () => {
  const agent = vk('n/agent', {
    pools: [openai],
    labels: { a: '1' },
    models: { allow: ['gpt-*'], deny: [], aliases: {} },
    delegation: { maxDepth: 2, maxChildren: 10 },
    ttlMs: 1_000_000,
  });
  const child = (name: string, parent: string, spec: ChildKey['spec'] = {}): ChildKey => ({
    key: keyName('n', name),
    parent: keyName('n', parent),
    spec,
    createdAtMs: 5000,
    ...(spec.ttlMs !== undefined && { expiresAtMs: 5000 + spec.ttlMs }),
  });

  it('are nodes below their parent with an escrowed Total', () => {
    const spec = {
      usdNano: 7,
      requests: 3,
      ttlMs: 60,
      models: ['gpt-5*'],
      endpoints: ['/a'],
      outputTokens: 8,
      delegation: { maxDepth: 9, maxChildren: 2 },
    };
    const { compiled, problems } = run({ keys: [agent], children: [child('sub', 'agent', spec)] });
    assert.deepEqual(problems, []);
    const { digest: _, ...document } = compiled.keys[1] ?? assert.fail('no document');
    assert.deepEqual(document, {
      key: 'n/sub',
      path: ['n/agent'],
      owner: {},
      labels: { a: '1' },
      pools: [openai],
      models: { allow: [['gpt-*'], ['gpt-5*']], deny: [], aliases: {} },
      endpoints: ['/a'],
      perRequest: { outputTokens: 8 },
      smallestCapNano: 7,
      counted: true,
      expiresAtMs: 5060,
      delegation: { maxDepth: 1, maxChildren: 2 },
    });
    assert.deepEqual(compiled.plans[1]?.nodes[1], {
      key: 'n/sub',
      limits: [{ window: 'Total', usdNano: 7, requests: 3, timeZone: 'Etc/UTC' }],
      rate: {},
      escrowNano: 7,
    });
  });

  it('may delegate one level less each, and not at all where the parent may not', () => {
    const children = [child('one', 'agent'), child('two', 'one', { delegation: { maxDepth: 5, maxChildren: 5 } })];
    assert.deepEqual(documentOf({ keys: [agent], children }, 'n/one').delegation, { maxDepth: 1, maxChildren: 10 });
    assert.equal(documentOf({ keys: [agent], children }, 'n/two').delegation, undefined);
    const plain = vk('n/agent', { pools: [openai] });
    assert.equal(documentOf({ keys: [plain], children }, 'n/two').delegation, undefined);
  });

  it('are gone with their parent, without a problem', () => {
    const { compiled, problems } = run({ keys: [], children: [child('one', 'agent'), child('two', 'one')] });
    assert.deepEqual([compiled.keys, compiled.plans, problems], [[], [], []]);
  });

  it('stop working when their parent loses its token', () => {
    const mute = vk('n/agent', { ...agent.spec, issueToken: false });
    assert.deepEqual(run({ keys: [mute], children: [child('one', 'agent')] }).compiled.keys, []);
  });

  it('give way to a manifest of the same name, and are no parents for manifests', () => {
    const { compiled } = run({ keys: [agent, vk('n/one', { pools: [openai] })], children: [child('one', 'agent')] });
    assert.deepEqual(
      compiled.keys.map(({ key, path }) => [key, path.length]),
      [
        ['n/agent', 0],
        ['n/one', 0],
      ],
    );
    assert.equal(
      run({ keys: [agent, vk('n/x', { parentRef: keyName('n', 'one') })], children: [child('one', 'agent')] }).problems.length,
      1,
    );
  });
});
