import { isRefusal } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import type { Demand } from '../../core/price/demand.ts';
import { valueBound } from '../../core/price/text.ts';
import { asArray, asObject, isGiven } from '../../proxy/dialect/fields.ts';
import { readBody } from '../../proxy/dialect/json.ts';
import { dialects } from '../../proxy/dialect/table.ts';
import type { Dialect, DialectId } from '../../proxy/dialect/types.ts';
import { providerOf } from '../../proxy/provider/table.ts';
import { type Exchange, readExchanges, wireBody } from '../replay.ts';
import { hasMedia, inputBound } from './input-bound.ts';

/** What a request asks for, as far as it changes what the provider adds to its text. Each request has one, the last that applies. */
export const features = [
  'text',
  'text over 8 KiB',
  'tools',
  'structured output',
  'citations',
  'pictures, audio, files',
  'hosted tools',
  'stored context',
  'embeddings',
] as const;
type Feature = (typeof features)[number];

/** One recorded call: what KeyForge would have reserved for its input, and what the provider counted. */
export interface RecordedCall {
  readonly id: string;
  readonly vendor: string;
  readonly model: string;
  readonly feature: Feature;
  /** Bound of the input in tokens; null where the call has none, so that a capped key may not make it. */
  readonly bound: number | null;
  /** Bound of the text of those fields that a model can see: what a provider counts above it is its own. */
  readonly shownTokens: number;
  /** Input tokens that the provider counted, cached ones included. */
  readonly tokens: number;
}

const dialectIds: Readonly<Record<string, DialectId>> = {
  'chat.completions': 'openai.chat',
  responses: 'openai.responses',
  embeddings: 'openai.embeddings',
  messages: 'anthropic.messages',
  generateContent: 'gemini.generateContent',
  streamGenerateContent: 'gemini.generateContent',
  embedContent: 'gemini.embedContent',
  batchEmbedContents: 'gemini.batchEmbedContents',
};

const kinds = {
  openai: 'OpenAI',
  anthropic: 'Anthropic',
  google: 'Gemini',
  azure: 'AzureOpenAI',
  mistral: 'Mistral',
  openrouter: 'OpenRouter',
  bedrock: 'OpenAICompatible',
} as const;

/** The recorded calls that were answered with a count of their input; null where the recordings are not beside the repository. */
export function recordedCalls(): readonly RecordedCall[] | null {
  const exchanges = readExchanges(Object.keys(kinds));
  return exchanges?.flatMap((exchange) => recordedCall(exchange) ?? []) ?? null;
}

function recordedCall(exchange: Exchange): RecordedCall | null {
  const { id, vendor, api, request, response, stream } = exchange;
  const dialectId = dialectIds[api];
  const value = asObject(request?.body);
  if (dialectId === undefined || value === null || response.status !== 200) return null;
  const dialect = dialects[dialectId];
  const tokens = countedTokens(dialect, exchange);
  const model = /models\/([^:/]+):/.exec(request?.path ?? '')?.[1] ?? exchange.model;
  const body = readBody(Buffer.from(JSON.stringify(dialectId.startsWith('gemini.') ? value : { ...value, model })));
  if ('problem' in body || tokens === 0) return null;
  const facts = dialect.read(body, { model, stream }, {});
  if (isRefusal(facts)) return null;
  const provider = providerOf(
    vendor === 'google' && !dialectId.startsWith('gemini.') ? 'OpenAICompatible' : kinds[vendor as keyof typeof kinds],
  );
  if (provider === null) return null;
  const { demand } = facts;
  return {
    id,
    vendor,
    model,
    feature: featureOf(dialect, value, demand),
    bound: inputBound(provider, model, demand),
    shownTokens: demand.textTokens - hiddenTokens(body.value),
    tokens,
  };
}

const shown = new Set([
  ...['model', 'messages', 'tools', 'functions', 'response_format', 'web_search_options', 'plugins'],
  ...['input', 'instructions', 'text', 'system', 'mcp_servers', 'output_config', 'output_format'],
  ...['contents', 'systemInstruction', 'system_instruction', 'generationConfig', 'generation_config', 'content', 'requests'],
]);

/** Bound of the fields that no model sees, which other callers may leave out. */
function hiddenTokens(value: JsonObject): number {
  const seen = Object.fromEntries(Object.entries(value).filter(([name]) => shown.has(name)));
  return valueBound(value).tokens - valueBound(seen).tokens;
}

/** The input tokens that the answer names. */
function countedTokens(dialect: Dialect, exchange: Exchange): number {
  const meter = dialect.meterStream('keep');
  if (exchange.response.sse !== undefined) {
    meter.push(wireBody(exchange));
    meter.flush();
  }
  const { usage } = exchange.response.sse === undefined ? dialect.readUsage(wireBody(exchange)) : meter.reading();
  return usage === null ? 0 : usage.input + usage.cachedInput + usage.cacheWrite;
}

const longBytes = 8192;

function featureOf(dialect: Dialect, value: JsonObject, demand: Demand): Feature {
  if (!dialect.generates) return 'embeddings';
  if (isGiven(value['previous_response_id']) || isGiven(value['conversation']) || isGiven(value['cachedContent'])) return 'stored context';
  const tools = [...asArray(value['tools']).map(asObject), ...(isGiven(value['web_search_options']) ? [{ type: 'web_search' }] : [])];
  if (tools.some((tool) => tool !== null && isHosted(tool)) || isGiven(value['mcp_servers'])) return 'hosted tools';
  if (hasMedia(demand)) return 'pictures, audio, files';
  if (JSON.stringify(value['messages'] ?? []).includes('"citations":{"enabled":true}')) return 'citations';
  if (isStructured(value)) return 'structured output';
  if (tools.length > 0) return 'tools';
  return demand.textTokens > longBytes ? 'text over 8 KiB' : 'text';
}

const clientTool = /^(function|custom|(bash|text_editor|computer|memory)_\d{8})$/;

function isHosted(tool: JsonObject): boolean {
  if (isGiven(tool['functionDeclarations']) || isGiven(tool['function_declarations'])) return false;
  return isGiven(tool['type']) ? !clientTool.test(String(tool['type'])) : !isGiven(tool['input_schema']);
}

function isStructured(value: JsonObject): boolean {
  const config = asObject(value['generationConfig']) ?? {};
  const formats = [value['response_format'], asObject(value['text'])?.['format'], value['output_format']].map(
    (format) => asObject(format)?.['type'],
  );
  return (
    formats.some((type) => isGiven(type) && type !== 'text') ||
    isGiven(asObject(value['output_config'])?.['format']) ||
    ['responseSchema', 'responseJsonSchema', 'response_schema'].some((name) => isGiven(config[name])) ||
    config['responseMimeType'] === 'application/json'
  );
}
