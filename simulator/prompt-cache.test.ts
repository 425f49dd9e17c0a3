import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inputTokens } from './answer.ts';
import { anthropicMessages } from './dialect/anthropic.ts';
import { simulatedModels } from './models.ts';
import { PromptCache } from './prompt-cache.ts';
import type { CacheUse, Prompt } from './types.ts';

const model = simulatedModels.find(({ name }) => name === 'claude-haiku-4-5');
assert.ok(model);
const cached = { cache_control: { type: 'ephemeral' } };

function parse(messages: readonly object[], more: object = {}): Prompt {
  const prompt = anthropicMessages.parse({ model: model?.name, max_tokens: 9, messages, ...more }, {});
  assert.ok(!('badRequest' in prompt));
  return prompt;
}

function ask(cache: PromptCache, prompt: Prompt, nowMs: number): CacheUse {
  assert.ok(model);
  return cache.use(model, prompt, { inputTokens: inputTokens(prompt), nowMs });
}

const turn = (text: string, more: object = {}): object => ({ role: 'user', content: [{ type: 'text', text, ...more }] });

test('a conversation that grows reads what it had and writes what is new', () => {
  const cache = new PromptCache();
  assert.deepEqual(ask(cache, parse([turn('one two', cached)]), 0), { read: 0, written: 3 });
  assert.deepEqual(ask(cache, parse([turn('one two'), turn('three', cached)]), 1000), { read: 3, written: 3 });
});

test('a prefix ends five minutes after its latest use, and an hour after with the longer lifetime', () => {
  const cache = new PromptCache();
  const short = parse([turn('one two', cached)]);
  ask(cache, short, 0);
  assert.equal(ask(cache, short, 299_999).read, 3);
  assert.equal(ask(cache, short, 599_998).read, 3);
  assert.equal(ask(cache, short, 899_998).read, 0);
  const long = parse([turn('four', { cache_control: { type: 'ephemeral', ttl: '1h' } })]);
  ask(cache, long, 0);
  assert.equal(ask(cache, long, 3_599_999).read, 2);
});

test('nothing is cached without a breakpoint, nor read where the beginning differs', () => {
  const cache = new PromptCache();
  const plain = parse([turn('one two')]);
  ask(cache, plain, 0);
  assert.deepEqual(ask(cache, plain, 0), { read: 0, written: 0 });
  ask(cache, parse([turn('same', cached)], { system: 'first' }), 0);
  assert.equal(ask(cache, parse([turn('same', cached)], { system: 'second' }), 0).read, 0);
});
