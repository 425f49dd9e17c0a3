import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRefusal } from '../../core/errors.ts';
import type { PoolName } from '../../core/names.ts';
import type { KeyDocument } from '../../core/policy/documents.ts';
import { anthropicMessages } from '../dialect/anthropic/messages.ts';
import { openaiChat } from '../dialect/openai/chat.ts';
import type { Dialect } from '../dialect/types.ts';
import { demand, keyDocument, openai, poolDocument } from '../line.fixture.ts';
import { openAi } from '../provider/openai.ts';
import { openRouter } from '../provider/openrouter.ts';
import { route } from './route.ts';

const [router, claude, vertex] = ['platform/router', 'platform/claude', 'platform/vertex'] as readonly string[] as [
  PoolName,
  PoolName,
  PoolName,
];
const documents = [
  poolDocument(),
  poolDocument({ pool: router, provider: 'OpenRouter' }),
  poolDocument({ pool: claude, provider: 'Anthropic' }),
  poolDocument({ pool: vertex, provider: 'Vertex' }),
];
const pools = new Map(documents.map((document) => [document.pool, document]));

/** `pool upstream-model` of each candidate, or the code of the refusal. */
function routed(dialect: Dialect, more: Partial<KeyDocument>, model = 'm'): readonly string[] | string {
  const facts = { model, stream: false, unjudged: [], wantsUsage: true, demand: demand(1) };
  const found = route(keyDocument(more), pools, dialect, facts);
  return isRefusal(found) ? found.code : found.map(({ pool, upstreamModel }) => `${pool.pool} ${upstreamModel}`);
}

test('candidates come in the key’s order of pools, those that speak the caller’s dialect alone', () => {
  assert.deepEqual(routed(openaiChat, { pools: [router, claude, openai] }), [`${router} m`, `${openai} m`]);
  assert.deepEqual(routed(anthropicMessages, { pools: [openai, claude] }), [`${claude} m`]);
});

test('a candidate carries its provider and what that adds to every request', () => {
  const facts = { model: 'm', stream: false, unjudged: [], wantsUsage: true, demand: demand(1) };
  const found = route(keyDocument({ pools: [openai, router] }), pools, openaiChat, facts);
  assert.ok(!isRefusal(found));
  assert.deepEqual(
    found.map(({ provider, overhead }) => [provider, overhead.tokens]),
    [
      [openAi, openAi.overheadOf('m').tokens],
      [openRouter, openRouter.overheadOf('m').tokens],
    ],
  );
});

test('a provider that cannot be called yet is no candidate', () => {
  assert.equal(routed(openaiChat, { pools: [vertex] }), 'model_denied');
});

test('an alias is followed, a denied model refused', () => {
  const models = { allow: [], deny: [], aliases: { fast: 'm' } };
  assert.deepEqual(routed(openaiChat, { models }, 'fast'), [`${openai} m`]);
  assert.equal(routed(openaiChat, { models: { ...models, deny: ['m'] } }, 'm'), 'model_denied');
});
