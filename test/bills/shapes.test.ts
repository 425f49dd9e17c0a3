import type { ProviderKind } from '../../core/manifest/providers.ts';
import { type Row, tryRows } from './rows.ts';

/*
 * Fields of a type that the API does not name. A server may read them all the same, so none passes: they are rejected by their name, or
 * refused because their cost has no bound. What each dialect says of them is in `requests.test.ts` beside it.
 */

const priced = { models: [{ name: 'm', maxOutputTokens: 4096, contextTokens: 1_000_000, pricePerMillion: { input: '2', output: '8' } }] };
const hi = [{ role: 'user', content: 'Hi' }];
const picture = { type: 'image_url', image_url: { url: 'https://x/y.png' } };

function rejected(provider: ProviderKind, path: string, body: object, fields: readonly object[]): readonly Row[] {
  return fields.map((more): Row => {
    const name = `${path} of ${provider}: ${JSON.stringify(more)}`;
    return { name, provider, pool: priced, path, body: { ...body, ...more }, capUsd: 0.05, outcome: { refused: '4\\d\\d' } };
  });
}

const said = (content: unknown): object => ({ messages: [{ role: 'user', content }] });
const config = (generationConfig: unknown): object => ({ generationConfig });
const searching = (max_tool_calls: unknown): object => ({ max_tool_calls, tools: [{ type: 'web_search' }] });

const rows: readonly Row[] = [
  ...rejected('OpenAICompatible', '/v1/embeddings', { model: 'm' }, [
    ...[{ text: 'x' }, [picture], [['a']], [[{ a: 1 }]], 7].map((input) => ({ input })),
    { messages: [{ role: 'user', content: [picture] }] },
    { input: 'x', images: ['https://x'] },
  ]),
  ...rejected('OpenAICompatible', '/v1/chat/completions', { model: 'm', max_tokens: 10, messages: hi }, [
    ...[picture, [['x']], [{ image_url: { url: 'x' } }], [{ type: 'video_url', video_url: { url: 'x' } }], [{ type: 'image_embeds' }]].map(
      said,
    ),
    { messages: ['x'] },
    { messages: [{ role: 'user', content: 'x', images: ['aGk='] }] },
    ...[{ tools: [[]] }, { functions: { name: 'f' } }, { response_format: 'json' }, { n: true }, { max_tokens: true }],
    ...[{ stream: 'true' }, { stream: 1 }, { model: ['m'] }, { service_tier: 1 }, { reasoning: 'high' }, { reasoning_effort: {} }],
    ...[{ cache_control: 'ephemeral' }, { provider: 'x' }, { chat_template_kwargs: [] }, { prompt: 'x' }, { web_search_options: [] }],
  ]),
  ...rejected('OpenAI', '/v1/responses', { model: 'm', max_output_tokens: 10, input: 'x' }, [
    ...[[['x']], ['x'], [{ role: 'user', content: { type: 'input_image' } }]].map((input) => ({ input })),
    ...['3', 0, -1].map(searching),
    ...[{ conversation: ['x'] }, { prompt: 'pmpt' }, { text: 'x' }, { instructions: [{ role: 'user' }] }, { context_management: {} }],
  ]),
  ...rejected('Anthropic', '/v1/messages', { model: 'm', max_tokens: 10, messages: hi }, [
    ...[{ type: 'image' }, ['x']].map(said),
    ...[{ messages: { role: 'user', content: 'x' } }, { system: { type: 'text' } }, { tools: ['x'] }, { thinking: 'enabled' }],
    ...[{ container: 5 }, { speed: ['fast'] }, { inference_geo: ['us'] }, { service_tier: 5 }, { cache_control: '1h' }],
    ...[{ max_tokens: '10' }, { stream: 'yes' }],
  ]),
  ...rejected('Gemini', '/v1beta/models/m:generateContent', { contents: [{ parts: [{ text: 'x' }] }] }, [
    ...['Hi', ['Hi'], [{ parts: ['Hi'] }]].map((contents) => ({ contents })),
    ...[{ tools: 'googleSearch' }, { tools: ['googleSearch'] }, { systemInstruction: 'x' }, { cachedContent: { name: 'x' } }],
    ...[[], { maxOutputTokens: '10' }, { candidateCount: '2' }, { thinkingConfig: 'x' }, { modelConfig: {} }].map(config),
  ]),
];

tryRows('fields of another type', rows);
