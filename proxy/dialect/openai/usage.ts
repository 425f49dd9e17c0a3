import type { JsonObject } from '../../../core/json.ts';
import type { FeeCounts, Serving, Usage } from '../../../core/price/types.ts';
import type { AnswerNotes } from '../answer.ts';
import { asArray, asObject, asString } from '../fields.ts';
import { namedCost, tokens, withParts } from '../usage.ts';
import { sessionFees } from './containers.ts';

/**
 * Usage from `usage` of chat completions and embeddings. `prompt_tokens` includes tokens read from and written to the cache.
 * Some servers deviate, as their totals show: Gemini’s OpenAI endpoint and xAI leave reasoning out of
 * `completion_tokens`, and Mistral leaves audio out of `prompt_tokens`. `serviceTier` stands beside `usage` in the answer.
 */
export function chatUsage(value: unknown, serviceTier: unknown): Usage | null {
  const usage = asObject(value);
  if (usage === null || !names(usage, 'prompt_tokens', 'completion_tokens')) return null;
  const details = asObject(usage['prompt_tokens_details']);
  const produced = asObject(usage['completion_tokens_details']);
  const audio = tokens(details, 'audio_tokens');
  const unnamed = Math.max(0, tokens(usage, 'total_tokens') - tokens(usage, 'prompt_tokens') - tokens(usage, 'completion_tokens'));
  const leftOutAudio = audio > 0 && unnamed >= audio && audio > tokens(usage, 'prompt_tokens') ? audio : 0;
  const leftOutThinking = unnamed - leftOutAudio;
  return classes({
    input: tokens(usage, 'prompt_tokens') + leftOutAudio,
    output: tokens(usage, 'completion_tokens') + leftOutThinking,
    reasoning: Math.max(tokens(produced, 'reasoning_tokens'), leftOutThinking),
    details,
    produced,
    fees: { webSearch: tokens(asObject(usage['server_tool_use_details']), 'web_search_requests') },
    serviceTier,
  });
}

/** True if usage names its input, and its output or all of it: embeddings have no output. */
function names(usage: JsonObject, input: string, output: string): boolean {
  return typeof usage[input] === 'number' && (typeof usage[output] === 'number' || typeof usage['total_tokens'] === 'number');
}

/** Usage of a response object of the Responses API, with the hosted tools in its output. */
export function responseUsage(response: JsonObject | null): Usage | null {
  const usage = asObject(response?.['usage']);
  if (response === null || usage === null || !names(usage, 'input_tokens', 'output_tokens')) return null;
  const produced = asObject(usage['output_tokens_details']);
  return classes({
    input: tokens(usage, 'input_tokens'),
    output: tokens(usage, 'output_tokens'),
    reasoning: tokens(produced, 'reasoning_tokens'),
    details: asObject(usage['input_tokens_details']),
    produced,
    fees: feesOf(response),
    serviceTier: response['service_tier'],
  });
}

/** Billed calls of hosted tools in the output of a response. The response repeats the request's tools. */
function feesOf(response: JsonObject): FeeCounts {
  const tools = toolsIn(response['tools']);
  const output = asArray(response['output']).map(asObject);
  const search = tools.some((tool) => asString(tool?.['type'])?.startsWith('web_search_preview')) ? 'webSearchPreview' : 'webSearch';
  const sessions = new Set(output.map(containerOf).filter((id) => id !== null)).size;
  return {
    [search]: output.filter(isSearch).length,
    fileSearch: output.filter((item) => item?.['type'] === 'file_search_call').length,
    container: sessions * Math.max(1, ...tools.map(memoryOf)),
  };
}

/** No group of tools nests so deep. */
const maxGroups = 8;

/** The tools of a list, and those that its groups hold. */
function toolsIn(list: unknown, groups = 0): readonly (JsonObject | null)[] {
  return asArray(list)
    .map(asObject)
    .flatMap((tool) => (tool?.['type'] === 'namespace' && groups < maxGroups ? toolsIn(tool['tools'], groups + 1) : [tool]));
}

/** Opening a page or finding in it is not billed. */
function isSearch(item: JsonObject | null): boolean {
  if (item?.['type'] !== 'web_search_call') return false;
  const action = asObject(item['action'])?.['type'];
  return action !== 'open_page' && action !== 'find_in_page' && action !== 'find';
}

/** The hosted container that a call ran in; null: none. */
function containerOf(item: JsonObject | null): string | null {
  if (item?.['type'] === 'code_interpreter_call') return asString(item['container_id']) ?? '';
  if (item?.['type'] !== 'shell_call') return null;
  return asString(asObject(item['environment'])?.['container_id']);
}

/** What a session in this tool's container costs, in fees. */
function memoryOf(tool: JsonObject | null): number {
  return sessionFees(tool?.['container'] ?? tool?.['environment']) ?? 1;
}

/** The answer's id, by which a later request may continue it, and what it says that it cost. */
export function responseNotes(response: JsonObject): AnswerNotes {
  const id = asString(response['id']);
  return { ...(id === null ? {} : { answerId: id }), ...namedCost(response['usage']) };
}

/** Tiers of an answer that cost more or less than the standard. Of `ultrafast` no price is published. */
const servingOf: Readonly<Record<string, Serving>> = { flex: 'flex', priority: 'priority', fast: 'priority', ultrafast: 'fast' };

interface Counts {
  readonly input: number;
  readonly output: number;
  readonly reasoning: number;
  readonly details: JsonObject | null;
  readonly produced: JsonObject | null;
  readonly fees: FeeCounts;
  readonly serviceTier: unknown;
}

/** Splits totals into disjoint classes. Some servers report more cached tokens than input (grok on Azure) or more reasoning than output. */
function classes({ input, output: named, reasoning, details, produced, fees, serviceTier }: Counts): Usage {
  const output = Math.max(named, reasoning);
  const cachedInput = tokens(details, 'cached_tokens');
  const cacheWrite = tokens(details, 'cache_write_tokens');
  const plain = Math.max(0, input - cachedInput - cacheWrite);
  const audio = tokens(details, 'audio_tokens');
  const inputAudio = Math.min(audio, plain);
  const serving = typeof serviceTier === 'string' && Object.hasOwn(servingOf, serviceTier) ? servingOf[serviceTier] : undefined;
  return withParts(
    { input: plain, cachedInput, cacheWrite, output, reasoning },
    {
      inputAudio,
      inputImage: Math.min(tokens(details, 'image_tokens'), plain - inputAudio),
      cachedInputAudio: Math.min(audio - inputAudio, cachedInput),
      outputAudio: Math.min(tokens(produced, 'audio_tokens'), output),
      outputImage: Math.min(tokens(produced, 'image_tokens'), output),
      cacheWrite1h: Math.min(tokens(asObject(details?.['cache_write_tokens_details']), 'ttl_12h_tokens'), cacheWrite),
      fees: billed(fees),
      servings: serving === undefined ? undefined : [serving],
    },
  );
}

/** The fees that count; undefined: none. */
function billed(fees: FeeCounts): FeeCounts | undefined {
  const counted = Object.entries(fees).filter(([, count]) => count > 0);
  return counted.length === 0 ? undefined : Object.fromEntries(counted);
}
