import type { JsonObject } from '../../core/json.ts';
import type { ProviderKind } from '../../core/manifest/providers.ts';
import { chatAnswer, geminiAnswer, messagesAnswer, responsesAnswer } from './answers.ts';
import { type Answer, type Row, tryRows } from './rows.ts';

/*
 * Input that is larger than the bytes of the request, and fields that only some servers read. Pictures by their own size are rows of
 * `core/price/picture-size.test.ts`, odd JSON of `proxy/dialect/json.test.ts`, and what a bill above its bound teaches is in `test/bounds.test.ts`.
 */

const million = 1_000_000;
const priced = { models: [{ name: 'm', maxOutputTokens: 4096, contextTokens: 1_000_000, pricePerMillion: { input: '2', output: '8' } }] };
const hi = [{ role: 'user', content: 'Hi' }];
const unmeterable = { refused: 'unmeterable_request' };
const invalid = { refused: 'invalid_request' };

interface Surface {
  readonly path: string;
  readonly body: object;
}

const chat: Surface = { path: '/v1/chat/completions', body: { model: 'm', max_tokens: 100, messages: hi } };
const responses: Surface = { path: '/v1/responses', body: { model: 'm', max_output_tokens: 100, input: 'Hi' } };
const messages: Surface = { path: '/v1/messages', body: { model: 'm', max_tokens: 100, messages: hi } };
const embeddings: Surface = { path: '/v1/embeddings', body: { model: 'm', input: 'Hi' } };

/** A row for each surface that the provider has, and one for its stream. */
function everywhere(
  name: string,
  provider: ProviderKind,
  surfaces: readonly Surface[],
  { more, outcome }: { readonly more: object; readonly outcome: Row['outcome'] },
): readonly Row[] {
  return surfaces.flatMap(({ path, body }): readonly Row[] => {
    const row = { provider, pool: priced, path, outcome } as const;
    const plain = { ...row, name: `${name}: ${provider}${path}`, body: { ...body, ...more } };
    if (path === embeddings.path) return [plain];
    return [plain, { ...row, name: `${name}, streamed: ${provider}${path}`, body: { ...body, ...more, stream: true } }];
  });
}

// Fields of one server.

const lenient = ['OpenAICompatible', 'AzureOpenAI', 'OpenRouter'] as const;
const foreign: readonly (readonly [string, object])[] = [
  ['data_sources', { data_sources: [{ type: 'azure_search', parameters: {} }] }],
  ['dataSources', { dataSources: [{ type: 'AzureCognitiveSearch' }] }],
  ['extra_body', { extra_body: { google: { cached_content: 'cachedContents/1' } } }],
  ['cached_content', { cached_content: 'cachedContents/1' }],
  ['search_parameters', { search_parameters: { mode: 'on' } }],
  ['enable_search', { enable_search: true }],
  ['search_options', { search_options: { forced_search: true } }],
  ['a field that nobody knows', { knowledge_base: 'x' }],
  ['a field of another case', { Enable_Search: true }],
];

const fields: readonly Row[] = [
  ...lenient.flatMap((provider) =>
    foreign.flatMap(([name, more]) => everywhere(name, provider, [chat, responses], { more, outcome: unmeterable })),
  ),
  ...foreign.flatMap(([name, more]) => everywhere(name, 'OpenRouter', [messages], { more, outcome: unmeterable })),
  ...everywhere('cached_content', 'OpenAICompatible', [embeddings], { more: { cached_content: 'x' }, outcome: unmeterable }),
  ...everywhere('documents', 'OpenAICompatible', [embeddings], { more: { knowledge_base: 'x' }, outcome: unmeterable }),
  {
    name: 'a field that is turned off',
    provider: 'OpenAICompatible',
    pool: priced,
    path: chat.path,
    body: { ...chat.body, enable_search: false, search_parameters: null },
    capUsd: 0.05,
    answer: () => ({ body: chatAnswer({ prompt_tokens: 9, completion_tokens: 100 }), usd: (9 * 2 + 100 * 8) / million }),
    outcome: 'exact',
  },
];

// Shapes.

const shapes: readonly Row[] = [
  ...(['OpenAI', 'OpenAICompatible'] as const).flatMap((provider) => [
    ...everywhere('modalities', provider, [chat, responses], { more: { modalities: 'audio' }, outcome: invalid }),
    ...everywhere('a list of modalities in a list', provider, [chat, responses], { more: { modalities: [['audio']] }, outcome: invalid }),
    ...everywhere('tools', provider, [chat, responses], { more: { tools: { type: 'web_search' } }, outcome: invalid }),
    ...everywhere('a tool by its name', provider, [chat, responses], { more: { tools: ['web_search'] }, outcome: invalid }),
    ...everywhere('prediction', provider, [chat], { more: { prediction: [{ type: 'content', content: 'x' }] }, outcome: invalid }),
    ...everywhere('plugins', provider, [chat, responses], { more: { plugins: { id: 'web' } }, outcome: invalid }),
    ...everywhere('web_search_options', provider, [chat], { more: { web_search_options: true }, outcome: invalid }),
    ...everywhere('background', provider, [responses], { more: { background: 'true' }, outcome: invalid }),
    ...everywhere('previous_response_id', provider, [responses], { more: { previous_response_id: ['resp_1'] }, outcome: invalid }),
    ...everywhere('messages', provider, [chat], { more: { messages: { role: 'user', content: 'Hi' } }, outcome: invalid }),
    ...everywhere('input', provider, [responses], { more: { input: { role: 'user', content: 'Hi' } }, outcome: invalid }),
  ]),
  ...everywhere('tools', 'Anthropic', [messages], {
    more: { tools: { type: 'web_search_20250305', name: 'web_search' } },
    outcome: invalid,
  }),
  ...everywhere('mcp_servers', 'Anthropic', [messages], { more: { mcp_servers: { url: 'x' } }, outcome: invalid }),
  ...everywhere('max_uses', 'Anthropic', [messages], {
    more: { tools: [{ type: 'web_search_20250305', name: 'web_search', max_uses: '1' }] },
    outcome: invalid,
  }),
  ...everywhere('context_management', 'Anthropic', [messages], { more: { context_management: [{}] }, outcome: invalid }),
];

// More readings than one, and requests in a request.

const words = 'word '.repeat(20_000);

/** A server that reads the raw bytes of the body. */
function byBytes(_: JsonObject, prompt_tokens: number): Answer {
  return { body: chatAnswer({ prompt_tokens, completion_tokens: 10 }), usd: (prompt_tokens * 2 + 10 * 8) / million };
}

const file = { fileData: { fileUri: 'https://x/1', mimeType: 'application/pdf' } };
const audioFile = { file_data: { file_uri: 'https://x/1', mime_type: 'audio/wav' } };
const inner = { contents: [{ role: 'user', parts: [{ text: 'Hi' }] }] };
const embed = { provider: 'Gemini', path: '/v1beta/models/gemini-embedding-2:batchEmbedContents', capUsd: 0.5 } as const;
const flash = { provider: 'Gemini', path: '/v1beta/models/gemini-2.5-flash:generateContent', capUsd: 0.1 } as const;

const readings: readonly Row[] = [
  {
    ...embed,
    name: 'a hundred files in a batch of embeddings',
    body: { requests: Array.from({ length: 100 }, () => ({ content: { parts: [audioFile] } })) },
    outcome: unmeterable,
  },
  { ...embed, name: 'a file in camel case', body: { requests: [{ content: { parts: [file] } }] }, outcome: unmeterable },
  {
    ...flash,
    name: 'a request in a request',
    body: { ...inner, generateContentRequest: {} },
    outcome: { refused: 'generateContentRequest' },
  },
  {
    ...flash,
    name: 'the same in snake case',
    body: { ...inner, generate_content_request: {} },
    outcome: { refused: 'generateContentRequest' },
  },
  {
    ...flash,
    name: 'another model in the body',
    body: { ...inner, model: 'models/gemini-2.5-pro' },
    outcome: { refused: 'INVALID_ARGUMENT' },
  },
  {
    ...flash,
    name: 'eight candidates',
    body: { ...inner, generationConfig: { candidateCount: 8, maxOutputTokens: 2000, thinkingConfig: { thinkingBudget: 0 } } },
    answer: (sent) => {
      const count = 8 * Number((sent['generationConfig'] as JsonObject)['maxOutputTokens']);
      return { body: geminiAnswer({ promptTokenCount: 9, candidatesTokenCount: count }), usd: (9 * 0.3 + count * 2.5) / million };
    },
    outcome: 'exact',
  },
  {
    name: 'a number of many digits',
    provider: 'OpenAICompatible',
    pool: priced,
    path: chat.path,
    body: `{"model":"m","max_tokens":10,"seed":1${'0'.repeat(300)},"tools":[{"type":"function","function":{"name":"f","parameters":{"maximum":0.${'1'.repeat(60_000)}}}}],"messages":[{"role":"user","content":"Hi"}]}`,
    capUsd: 0.4,
    answer: byBytes,
    outcome: 'exact',
  },
  {
    name: 'blanks in a schema',
    provider: 'OpenAICompatible',
    pool: priced,
    path: chat.path,
    body: {
      ...chat.body,
      tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object', description: ' '.repeat(60_000) } } }],
    },
    capUsd: 0.4,
    answer: byBytes,
    outcome: 'exact',
  },
  {
    name: 'a prediction that is rejected',
    provider: 'OpenAI',
    path: chat.path,
    body: { model: 'gpt-4.1', max_tokens: 10, messages: hi, prediction: { type: 'content', content: words } },
    capUsd: 1.2,
    answer: () => ({
      body: chatAnswer({
        prompt_tokens: 9,
        completion_tokens: 20_010,
        completion_tokens_details: { rejected_prediction_tokens: 20_000 },
      }),
      usd: (9 * 2 + 20_010 * 8) / million,
    }),
    outcome: 'exact',
  },
  {
    name: 'searches that Anthropic refuses, each of which reads the prompt again',
    provider: 'Anthropic',
    path: messages.path,
    body: {
      model: 'claude-haiku-4-5',
      max_tokens: 100,
      messages: [{ role: 'user', content: words }],
      tools: [{ type: 'web_search_20250305', name: 'web_search', max_uses: 1 }],
    },
    capUsd: 2.5,
    answer: () => ({
      body: messagesAnswer({ input_tokens: 11 * 20_000, output_tokens: 100, server_tool_use: { web_search_requests: 1 } }),
      usd: (11 * 20_000 + 100 * 5) / million + 0.01,
    }),
    outcome: 'exact',
  },
  {
    name: 'calls of tools in a response, each of which reads the prompt again',
    provider: 'OpenAI',
    path: responses.path,
    body: { model: 'gpt-4.1-mini', max_output_tokens: 100, input: words, tools: [{ type: 'web_search' }], max_tool_calls: 2 },
    capUsd: 1,
    answer: () => {
      const output = [
        { type: 'web_search_call', action: { type: 'search' } },
        { type: 'web_search_call', action: { type: 'search' } },
      ];
      return {
        body: responsesAnswer({ input_tokens: 60_000 + 30_000, output_tokens: 100 }, { output }),
        usd: (90_000 * 0.4 + 100 * 1.6) / million + 0.02,
      };
    },
    outcome: 'exact',
  },
];

tryRows('fields that only some servers read', fields);
tryRows('fields of the wrong shape', shapes);
tryRows('input beyond the bytes of the request', readings);
