import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRefusal } from '../../../core/errors.ts';
import type { Demand } from '../../../core/price/demand.ts';
import { type JsonBody, readBody } from '../json.ts';
import type { Dialect, Facts } from '../types.ts';
import { geminiBatchEmbed, geminiCountTokens, geminiEmbed, geminiGenerate } from './requests.ts';

type Fields = Readonly<Record<string, unknown>>;

function bodyOf(value: object): JsonBody {
  const body = readBody(Buffer.from(JSON.stringify(value)));
  if ('problem' in body) throw new Error(body.problem);
  return body;
}

function readBy(dialect: Dialect, value: object, model = 'gemini-3-pro'): Facts | string {
  const facts = dialect.read(bodyOf(value), { model, stream: false }, {});
  return isRefusal(facts) ? `${facts.code}: ${facts.message}` : facts;
}

const generate = (more: Fields, model?: string): Facts | string =>
  readBy(geminiGenerate, { contents: [{ parts: [{ text: 'Hi' }] }], ...more }, model);

function facts(more: Fields, model?: string): Facts {
  const found = generate(more, model);
  if (typeof found === 'string') assert.fail(found);
  return found;
}

function demandBy(dialect: Dialect, value: object): Demand {
  const found = readBy(dialect, value);
  if (typeof found === 'string') assert.fail(found);
  return found.demand;
}

const demand = (more: Fields): Demand => facts(more).demand;
const parts = (...given: readonly unknown[]): Fields => ({ contents: [{ parts: given }] });
const config = (generationConfig: Fields): Fields => ({ generationConfig });
const anything = ['text', 'image', 'audio', 'video', 'document'];
const base64 = Buffer.alloc(3000).toString('base64');

test('a governing field of the wrong type is refused by its name', () => {
  const wrong: readonly (readonly [Fields, string])[] = [
    [{ contents: 'Hi' }, 'contents'],
    [{ contents: ['Hi'] }, 'contents'],
    [{ contents: [{ parts: 'Hi' }] }, 'parts'],
    [parts('Hi'), 'parts'],
    [{ systemInstruction: 'Hi' }, 'systemInstruction'],
    [{ system_instruction: [] }, 'systemInstruction'],
    [{ tools: 'googleSearch' }, 'tools'],
    [{ tools: ['googleSearch'] }, 'tools'],
    [{ generationConfig: [] }, 'generationConfig'],
    [config({ thinkingConfig: 1024 }), 'thinkingConfig'],
    [config({ thinkingConfig: { thinkingBudget: '1024' } }), 'thinkingBudget'],
    [config({ thinkingConfig: { thinkingBudget: -2 } }), 'thinkingBudget'],
    [config({ candidateCount: '8' }), 'candidateCount'],
    [config({ maxOutputTokens: 0 }), 'maxOutputTokens'],
    [parts({ inlineData: base64 }), 'inlineData'],
    [parts({ functionResponse: { parts: [base64] } }), 'parts'],
  ];
  for (const [more, field] of wrong)
    assert.match(String(generate(more)), new RegExp(`^invalid_request: The field ${field} must be`), field);
  assert.match(String(readBy(geminiEmbed, { content: 'Hi' })), /^invalid_request: The field content must be/);
  assert.match(String(readBy(geminiBatchEmbed, { requests: ['Hi'] })), /^invalid_request: The field requests must be/);
});

test('a field in both spellings is refused at any place that counts', () => {
  const inline = { mimeType: 'image/png', data: 'AAAA' };
  for (const more of [
    { generationConfig: {}, generation_config: {} },
    config({ maxOutputTokens: 1, max_output_tokens: 2 }),
    config({ thinkingConfig: {}, thinking_config: {} }),
    parts({ inlineData: inline, inline_data: inline }),
    parts({ inlineData: { ...inline, mime_type: 'audio/wav' } }),
  ]) {
    assert.match(String(generate(more)), /given twice/);
  }
});

test('a body that names a model must name the one in the path', () => {
  for (const model of ['gemini-3-pro', 'models/gemini-3-pro']) facts({ model });
  assert.match(String(readBy(geminiEmbed, { model: 'models/other', content: {} })), /^invalid_request/);
  assert.match(String(readBy(geminiBatchEmbed, { requests: [{ model: 'models/other', content: {} }] })), /^invalid_request/);
  assert.match(String(generate(config({ routingConfig: { autoMode: {} } }))), /^model_denied/);
});

test('only countTokens has a request within the request', () => {
  const value = { generateContentRequest: { contents: [] }, contents: [{ parts: [{ fileData: { fileUri: 'https://x' } }] }] };
  assert.match(String(readBy(geminiGenerate, value)), /^invalid_request: The field generateContentRequest/);
  assert.match(String(readBy(geminiGenerate, { generate_content_request: 1, contents: [] })), /^invalid_request/);
  assert.equal(demandBy(geminiCountTokens, { generateContentRequest: { contents: [] } }).stored, undefined);
  assert.match(String(readBy(geminiCountTokens, { generateContentRequest: { model: 'models/other' } })), /^invalid_request/);
});

test('an answer may be all that the model makes unless the request says text alone', () => {
  const outputs = (more: Fields): unknown => [demand(more).anyOutput, demand(more).outputs];
  for (const absent of [{}, config({}), config({ responseModalities: null }), config({ responseModalities: [] })])
    assert.deepEqual(outputs(absent), [true, []]);
  for (const text of [['TEXT'], 'text', [1]]) assert.deepEqual(outputs(config({ responseModalities: text })), [false, []]);
  assert.deepEqual(outputs(config({ responseModalities: ['TEXT', 'Image'] })), [false, ['image']]);
  assert.deepEqual(outputs({ generation_config: { response_modalities: [2] } }), [false, ['image']]);
  assert.deepEqual(outputs(config({ responseModalities: 'AUDIO' })), [false, ['audio']]);
  assert.deepEqual(outputs(config({ responseModalities: ['HOLOGRAM'] })), [true, []]);
  assert.deepEqual(outputs(config({ imageConfig: { imageSize: '4K' } })), [true, ['image']]);
});

test('thinking is read as a budget, a level, or off', () => {
  const thinking = (given: Fields, model?: string): unknown => facts(config({ thinkingConfig: given }), model).thinking;
  // The least budgets: ai.google.dev/gemini-api/docs/thinking
  assert.deepEqual(thinking({ thinkingBudget: 8192 }, 'gemini-2.5-pro'), { kind: 'budget', tokens: 8192, leastTokens: 128 });
  assert.deepEqual(thinking({ thinkingBudget: 8192 }, 'gemini-2.5-flash'), { kind: 'budget', tokens: 8192, leastTokens: 1 });
  assert.deepEqual(thinking({ thinkingBudget: 8192 }, 'gemini-2.5-flash-lite'), { kind: 'budget', tokens: 8192, leastTokens: 512 });
  assert.deepEqual(thinking({ thinkingBudget: 0 }), { kind: 'off' });
  assert.deepEqual(thinking({ thinkingBudget: -1 }), undefined);
  assert.deepEqual(thinking({ thinkingLevel: 'low' }), { kind: 'effort', effort: 'low' });
  assert.deepEqual(thinking({ thinking_level: 'HIGH' }), { kind: 'effort', effort: 'high' });
  assert.equal(thinking({ includeThoughts: true }), undefined);
  assert.equal(facts({}).thinking, undefined);
});

test('a lowered thinking budget is written where the caller gave one', () => {
  const rewritten = (value: object): unknown =>
    JSON.parse(geminiGenerate.rewrite(bodyOf(value), { maxOutputTokens: 9000, thinkingTokens: 7976 }).toString());
  assert.deepEqual(rewritten(config({ maxOutputTokens: 32_000, thinkingConfig: { thinkingBudget: 16_000, includeThoughts: true } })), {
    generationConfig: { maxOutputTokens: 9000, thinkingConfig: { thinkingBudget: 7976, includeThoughts: true } },
  });
  assert.deepEqual(rewritten({ generation_config: { thinking_config: { thinking_budget: 16_000 } } }), {
    generation_config: { maxOutputTokens: 9000, thinking_config: { thinking_budget: 7976 } },
  });
});

test('each part costs its text, its media, or the whole context', () => {
  assert.equal(demand(parts({ text: 'Hm', thought: true, thoughtSignature: 's' }, { functionCall: { name: 'f' } })).stored, undefined);
  assert.deepEqual(demand(parts({ hologram: {} })).stored, anything);
  assert.deepEqual(demand(parts({ file_data: { file_uri: 'https://x' } })).stored, anything);
  assert.deepEqual(demand(parts({ functionResponse: { parts: [{ fileData: {} }] } })).stored, anything);
  assert.deepEqual(demand({ systemInstruction: { parts: [{ fileData: {} }] } }).stored, anything);
  assert.deepEqual(demand({ cachedContent: 'cachedContents/1' }).stored, anything);
  assert.deepEqual(demand({ continuationToken: 'x' }).stored, anything);
  const inline = (mimeType: string | undefined): Demand => demand(parts({ inlineData: { mimeType, data: base64 } }));
  assert.deepEqual(inline('video/mp4').stored, ['video', 'audio']);
  assert.deepEqual(inline('audio/flac').stored, ['audio']);
  assert.deepEqual(inline('application/pdf').stored, ['document']);
  for (const type of ['application/ogg', '', undefined]) assert.deepEqual(inline(type).stored, anything);
  assert.ok(inline('application/ogg').textTokens < 1000);
});

test('a picture that asks for the finest resolution costs more than others', () => {
  const image = (mediaResolution: unknown): Demand =>
    demand(parts({ inlineData: { mimeType: 'image/png', data: base64 }, mediaResolution }));
  for (const level of ['MEDIA_RESOLUTION_HIGH', 'MEDIA_RESOLUTION_LOW', 3, undefined])
    assert.equal(image({ level }).media.image, undefined);
  for (const level of ['MEDIA_RESOLUTION_ULTRA_HIGH', 4, 'FINEST']) assert.equal(image({ level }).media.image, 2240);
  assert.equal(image({ numTokens: 9000 }).media.image, 9000);
  assert.match(String(image({ numTokens: 'many' }).unmeterable), /numTokens/);
});

test('video that the model navigates itself has no bound', () => {
  assert.match(String(demand(parts({ fileData: {}, mediaProcessing: 'AGENTIC' })).unmeterable), /agentic/);
  assert.equal(demand(parts({ fileData: {}, mediaProcessing: 'STATIC' })).unmeterable, undefined);
});

test('a search for pictures may add any number of them', () => {
  const stored = (tool: object): unknown => demand({ tools: [tool] }).stored;
  assert.equal(stored({ googleSearch: { searchTypes: { webSearch: {} } } }), undefined);
  for (const tool of [{ googleSearch: { searchTypes: { imageSearch: {} } } }, { google_search: { search_types: { image_search: {} } } }])
    assert.deepEqual(stored(tool), ['text', 'image']);
});

test('hosted tools are served within what Google bills for them', () => {
  const tool = (name: string): Demand => demand({ tools: [{ [name]: {} }] });
  for (const name of ['googleSearch', 'google_search', 'googleMaps']) {
    const { fees, stored, unmeterable, features } = tool(name);
    assert.deepEqual(
      [fees, stored, unmeterable, features],
      [
        { webSearch: 24, groundedPrompt: 1, ...(name === 'googleMaps' ? { mapsPrompt: 1 } : {}) },
        ...[undefined, undefined, ['hostedTools']],
      ],
      name,
    );
  }
  for (const name of ['urlContext', 'url_context', 'fileSearch']) {
    const { fees, stored, unmeterable } = tool(name);
    assert.deepEqual([fees, stored, unmeterable], [{}, ['text', 'image', 'document'], undefined], name);
  }
  const code = tool('code_execution');
  assert.deepEqual([code.fees, code.inputReads, code.toolTokens, code.unmeterable], [{}, 7, undefined, undefined]);
  for (const name of ['mcpServers', 'retrieval', 'enterpriseWebSearch', 'exaAiSearch', 'unheardOf'])
    assert.match(String(tool(name).unmeterable), new RegExp(name));
});

test('tools that run at the caller’s, structured output and choices count as such', () => {
  assert.deepEqual(demand({ tools: [{ functionDeclarations: [] }] }).features, ['tools']);
  assert.ok(demand({ tools: [{ computer_use: {} }] }).textTokens > 4096);
  assert.deepEqual(demand(config({ responseJsonSchema: {} })).features, ['structuredOutput']);
  assert.equal(demand(config({ candidateCount: 3 })).choices, 3);
});

test('a service tier is a way of serving with a price; an unknown one has none', () => {
  assert.deepEqual(demand({ serviceTier: 'SERVICE_TIER_PRIORITY' }).servings, ['priority']);
  for (const tier of ['flex', 'standard', null])
    assert.deepEqual([demand({ serviceTier: tier }).servings, demand({ serviceTier: tier }).unmeterable], [[], undefined]);
  assert.match(String(demand({ service_tier: 'ludicrous' }).unmeterable), /serviceTier/);
});

test('each embedding in a batch has a context of its own', () => {
  const file = { content: { parts: [{ fileData: { fileUri: 'https://x' } }] } };
  const batch = (...requests: readonly unknown[]): Demand => demandBy(geminiBatchEmbed, { requests });
  const three = batch(file, { content: { parts: [{ text: 'Hi' }] } }, file, file);
  assert.deepEqual([three.inputReads, three.toolTokens, three.stored], [3, undefined, anything]);
  assert.deepEqual([batch(file).inputReads, batch(file).toolTokens], [1, 0]);
  const plain = batch({ content: { parts: [{ text: 'Hi' }] } });
  assert.deepEqual([plain.inputReads, plain.stored], [1, undefined]);
});

test('sound to embed counts as audio', () => {
  const mp3 = Buffer.concat([Buffer.from([0xff, 0xfb, 0x90, 0x64]), Buffer.alloc(8000)]).toString('base64');
  const { media, textTokens } = demandBy(geminiEmbed, { content: { parts: [{ inlineData: { mimeType: 'audio/mp3', data: mp3 } }] } });
  assert.ok((media.audio ?? 0) > 1000 && textTokens < 200);
});
