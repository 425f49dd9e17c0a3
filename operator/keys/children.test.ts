import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type KeyName, keyName } from '../../core/names.ts';
import type { KeyDocument } from '../../core/policy/documents.ts';
import type { ChildSpec } from '../../core/protocol/children.ts';
import type { ChildRow } from '../store/types.ts';
import { livingChildren, newChild, runIdOf } from './children.ts';

const bot = keyName('agents', 'bot');
const parent: KeyDocument = {
  key: bot,
  path: [],
  owner: {},
  labels: {},
  pools: [],
  models: { allow: [['gpt-*']], deny: ['gpt-secret'], aliases: { fast: 'gpt-small' } },
  endpoints: ['/v1/messages'],
  perRequest: {},
  counted: false,
  expiresAtMs: 10_000,
  delegation: { maxDepth: 1, maxChildren: 2 },
  digest: 'sha256:0',
};

function mint(
  spec: ChildSpec,
  more: { readonly parent?: KeyDocument; readonly children?: readonly ChildRow[]; readonly taken?: readonly string[] } = {},
) {
  const document = more.parent ?? parent;
  return newChild({
    parent: document,
    spec,
    documents: new Map([[document.key, document]]),
    taken: new Set(more.taken as KeyName[]),
    children: more.children ?? [],
    nowMs: 1_000,
    random: (size) => new Uint8Array(size).fill(0xab),
  });
}

function codeOf(result: ReturnType<typeof mint>): string {
  return 'code' in result ? result.code : 'minted';
}

function row(key: string, of: string, expiresAtMs?: number): ChildRow {
  return { key: key as KeyName, parent: of as KeyName, spec: {}, createdAtMs: 0, ...(expiresAtMs !== undefined && { expiresAtMs }) };
}

test('a sub-agent key is named below its parent, by its own name or a random one', () => {
  assert.equal((mint({ name: 'sub' }) as ChildRow).key, 'agents/bot.sub');
  assert.equal((mint({}) as ChildRow).key, 'agents/bot.abababababab');
});

test('a name that the run of a Pod or Job could have is refused, so that no agent takes the place of a run', () => {
  assert.equal(codeOf(mint({ name: runIdOf('8c0d2f4e-pod') })), 'invalid_request');
  assert.equal(codeOf(mint({ name: 'run-1' })), 'minted');
});

test('a name that is no DNS label, too long or taken is refused', () => {
  for (const name of ['', 'A', '-a', 'a.b', '../x', 'a/b', 'a'.repeat(64)]) assert.equal(codeOf(mint({ name })), 'invalid_request', name);
  assert.equal(codeOf(mint({ name: 'sub' }, { taken: ['agents/bot.sub'] })), 'invalid_request');
  const long = { ...parent, key: keyName('agents', `${'a'.repeat(240)}`) };
  assert.equal(codeOf(mint({ name: 'b'.repeat(20) }, { parent: long })), 'invalid_request');
});

test('it never outlives its parent', () => {
  assert.equal((mint({ ttlMs: 500 }) as ChildRow).expiresAtMs, 1_500);
  assert.equal((mint({ ttlMs: 50_000 }) as ChildRow).expiresAtMs, 10_000);
  assert.equal((mint({}) as ChildRow).expiresAtMs, 10_000);
});

test('models and endpoints that the parent may not use are refused by name', () => {
  assert.equal(codeOf(mint({ models: ['gpt-small', 'gpt-*', 'fast'] })), 'minted');
  assert.equal(codeOf(mint({ models: ['claude-big'] })), 'model_denied');
  assert.equal(codeOf(mint({ models: ['gpt-secret'] })), 'model_denied');
  assert.equal(codeOf(mint({ endpoints: ['/v1/messages'] })), 'minted');
  assert.equal(codeOf(mint({ endpoints: ['/v1/responses'] })), 'endpoint_denied');
});

test('without delegation there is no minting, and with it no more than maxChildren at any depth', () => {
  const { delegation: _, ...plain } = parent;
  assert.equal(codeOf(mint({}, { parent: plain })), 'endpoint_denied');
  const one = row('agents/bot.a', 'agents/bot');
  assert.equal(codeOf(mint({}, { children: [one] })), 'minted');
  assert.equal(codeOf(mint({}, { children: [one, row('agents/bot.a.b', 'agents/bot.a')] })), 'quota_exhausted');
});

test('a sub-agent key lives while neither it nor an ancestor has ended, and no manifest has its name', () => {
  const rows = [
    row('agents/bot.a', 'agents/bot'),
    row('agents/bot.a.b', 'agents/bot.a', 5),
    row('agents/bot.c', 'agents/bot', 3),
    row('agents/bot.c.d', 'agents/bot.c'),
    row('agents/gone.e', 'agents/gone'),
    row('agents/bot.f', 'agents/bot'),
  ];
  const declared = new Set(['agents/bot', 'agents/bot.f'] as KeyName[]);
  assert.deepEqual(
    livingChildren(rows, declared, 4).map(({ key }) => key),
    ['agents/bot.a', 'agents/bot.a.b'],
  );
});
