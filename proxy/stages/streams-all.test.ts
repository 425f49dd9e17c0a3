import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Facts } from '../dialect/types.ts';
import { demand, poolDocument, price } from '../line.fixture.ts';
import { openAiCompatible } from '../provider/openai-compatible.ts';
import { streamsAll } from './streams-all.ts';

const facts: Facts = { model: 'm', stream: true, demand: demand(1), unjudged: [], wantsUsage: true };

const { outputAudio: _, outputImage: __, ...rates } = price().rates;

function of(more: Partial<Facts>, upstreamModel = 'llama-3.3', priced = price({ rates }), request = {}): boolean {
  const place = { pool: poolDocument(), model: 'm', upstreamModel, price: priced, provider: openAiCompatible };
  return streamsAll({ facts: { ...facts, ...more }, request }, { ...place, overhead: openAiCompatible.overheadOf('m') });
}

test('all output streams only if the request is a plain one for text', () => {
  assert.ok(of({}));
  assert.ok(of({ thinking: { kind: 'off' } }));
  assert.ok(of({ demand: demand(1, { features: ['tools', 'structuredOutput'] }) }));
  const others: readonly Partial<Facts>[] = [
    { stream: false },
    { unjudged: ['search_parameters'] },
    { thinking: { kind: 'effort', effort: 'low' } },
    { demand: demand(1, { choices: 2 }) },
    { demand: demand(1, { inputReads: 2 }) },
    { demand: demand(1, { outputs: ['audio'] }) },
    { demand: demand(1, { openCalls: { fees: ['webSearch'], tools: 1, maxReads: 2 } }) },
    { demand: demand(1, { extraOutputTokens: 1 }) },
    { demand: demand(1, { summaries: 1 }) },
    { demand: demand(1, { features: ['hostedTools'] }) },
    { demand: demand(1, { features: ['prediction'] }) },
    { demand: demand(1, { fees: { webSearch: null } }) },
  ];
  for (const more of others) assert.ok(!of(more), JSON.stringify(more));
});

test('a request that does not say what the answer is made of streams all of a model that only writes', () => {
  const unsaid = { demand: demand(1, { anyOutput: true }) };
  assert.ok(of(unsaid));
  for (const rate of ['outputAudio', 'outputImage']) assert.ok(!of(unsaid, 'm', price({ rates: { ...rates, [rate]: 1 } })));
});

test('a model that reasons unseen streams not all, whatever a gateway calls it', () => {
  assert.ok(!of({}, 'm', price({ rates, reasonsByDefault: true })));
  for (const model of [
    ...['o3-mini', 'openai/o1', 'gpt-5.4', 'azure/gpt-6-sol', 'google/gemini-2.5-pro', 'gemini-3.5-flash', 'gemini-flash-latest'],
    ...['x-ai/grok-4', 'xai/grok-code-fast-1', 'anthropic/claude-fable-5', 'anthropic.claude-opus-5-5', '~anthropic/claude-sonnet-latest'],
    ...['perplexity/sonar-pro', 'amazon/nova-2-lite', 'openai/gpt-chat-latest'],
  ]) {
    assert.ok(!of({}, model), model);
  }
  for (const model of ['gpt-4o', 'olmo-2', 'gemini-2.0-flash', 'qwen3-32b', 'claude-haiku-4-5', 'gpt-oss-120b'])
    assert.ok(of({}, model), model);
});

test('a request that keeps generated tokens out of the stream streams not all', () => {
  const requests: readonly object[] = [
    { reasoning: { exclude: true } },
    { include_reasoning: false },
    { separate_reasoning: true },
    { stream_reasoning: false },
    { reasoning_format: 'hidden' },
    { response_fields: ['tokens'] },
    { include: ['usage'] },
    { stop: ['a long text that ends the answer'] },
    { stop_sequences: ['END'] },
    { stop_token_ids: [1] },
    { stop_regex: '.*' },
    { ignore_eos: true },
    { logit_bias: { '2': 100 } },
    { allowed_token_ids: [2] },
    { generationConfig: { stopSequences: ['END'] } },
    { generation_config: { stop_sequences: ['END'] } },
  ];
  for (const request of requests) assert.ok(!of({}, 'llama-3.3', price({ rates }), request), JSON.stringify(request));
  assert.ok(of({}, 'llama-3.3', price({ rates }), { stop: null, generationConfig: { temperature: 0 } }));
});
