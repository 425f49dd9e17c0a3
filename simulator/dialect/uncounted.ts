import { inputTokens } from '../answer.ts';
import { countTokens } from '../tokens.ts';
import type { BadRequest, Json, SimulatedModel, SimulatedUsage } from '../types.ts';
import { parseCounted } from './anthropic.ts';
import { geminiGenerate } from './gemini.ts';
import { openaiResponses } from './openai-responses.ts';
import { allText, objects } from './read.ts';

const dimensions = 8;
const summaryTokens = 40;

/** A whole answer without generation; `usage` is what is billed, absent where the provider bills nothing. */
export interface Whole {
  readonly body: Json;
  readonly usage?: SimulatedUsage;
}

/** POST /v1/embeddings. */
export function openaiEmbeddings(body: Json): Whole | BadRequest {
  const input = body['input'];
  if (typeof input !== 'string' && !Array.isArray(input)) return { badRequest: "Missing required parameter: 'input'.", param: 'input' };
  const texts = typeof input === 'string' ? [input] : input.map(String);
  const usage = embedUsage(texts.reduce((sum, text) => sum + countTokens(text), 0));
  const encode = body['encoding_format'] === 'base64';
  const data = texts.map((text, index) => ({ object: 'embedding', index, embedding: encode ? base64(vector(text)) : vector(text) }));
  const used = { prompt_tokens: usage.input, total_tokens: usage.input };
  return { body: { object: 'list', data, model: body['model'], usage: used }, usage };
}

/** POST /v1/messages/count_tokens. */
export function anthropicCount(body: Json): Whole {
  return { body: { input_tokens: inputTokens(parseCounted(body)) } };
}

/** POST /v1/responses/input_tokens. */
export function openaiCount(body: Json): Whole | BadRequest {
  const prompt = openaiResponses.parse(body, {});
  if ('badRequest' in prompt) return prompt;
  return { body: { object: 'response.input_tokens', input_tokens: inputTokens(prompt) } };
}

/** POST /v1/responses/compact: one summary of a fixed length. */
export function openaiCompact(body: Json): Whole | BadRequest {
  const prompt = openaiResponses.parse(body, {});
  if ('badRequest' in prompt) return prompt;
  const usage = { ...embedUsage(inputTokens(prompt)), output: summaryTokens };
  const used = { input_tokens: usage.input, output_tokens: usage.output, total_tokens: usage.input + usage.output };
  const output = [{ id: 'cmp_1', type: 'compaction', encrypted_content: 'c3VtbWFyeQ==' }];
  return { body: { id: 'resp_compacted', object: 'response.compaction', created_at: 1_700_000_000, output, usage: used }, usage };
}

/** POST …:countTokens. */
export function geminiCount(body: Json, model: string): Whole | BadRequest {
  const inner = (body['generateContentRequest'] ?? body) as Json;
  const prompt = geminiGenerate.parse(inner, { model });
  if ('badRequest' in prompt) return prompt;
  const tokens = inputTokens(prompt);
  return { body: { totalTokens: tokens, promptTokensDetails: [{ modality: 'TEXT', tokenCount: tokens }] } };
}

/** POST …:embedContent. */
export function geminiEmbed(body: Json): Whole {
  const text = allText(body['content']);
  const usage = embedUsage(countTokens(text));
  return {
    body: { embedding: { values: vector(text) }, usageMetadata: { promptTokenCount: usage.input, totalTokenCount: usage.input } },
    usage,
  };
}

/** POST …:batchEmbedContents. */
export function geminiEmbedBatch(body: Json): Whole {
  const texts = objects(body['requests']).map((each) => allText(each['content']));
  const usage = embedUsage(texts.reduce((sum, text) => sum + countTokens(text), 0));
  const embeddings = texts.map((text) => ({ values: vector(text) }));
  return { body: { embeddings, usageMetadata: { promptTokenCount: usage.input, totalTokenCount: usage.input } }, usage };
}

/** GET /v1/models and /v1beta/models, each family in its own form. */
export function modelList(models: readonly SimulatedModel[], family: SimulatedModel['family']): Json {
  const names = models.filter((model) => model.family === family).map((model) => model.name);
  switch (family) {
    case 'openai':
      return { object: 'list', data: names.map((id) => ({ id, object: 'model', created: 1_700_000_000, owned_by: 'simulated' })) };
    case 'anthropic':
      return {
        data: names.map((id) => ({ type: 'model', id, display_name: id, created_at: '2026-01-01T00:00:00Z' })),
        has_more: false,
        first_id: names[0] ?? null,
        last_id: names.at(-1) ?? null,
      };
    case 'gemini':
      return { models: names.map((name) => ({ name: `models/${name}`, supportedGenerationMethods: ['generateContent', 'countTokens'] })) };
  }
}

function embedUsage(input: number): SimulatedUsage {
  return { input, cachedInput: 0, cacheWrite: 0, cacheWrite1h: 0, output: 0, reasoning: 0 };
}

function vector(text: string): readonly number[] {
  return Array.from({ length: dimensions }, (_, index) => ((text.charCodeAt(index % Math.max(1, text.length)) || 1) % 97) / 97);
}

function base64(values: readonly number[]): string {
  return Buffer.from(new Float32Array(values).buffer).toString('base64');
}
