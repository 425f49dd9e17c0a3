import type { JsonObject } from '../../../core/json.ts';
import type { Usage } from '../../../core/price/types.ts';
import { asObject } from '../fields.ts';
import { tokens, withParts } from '../usage.ts';

/**
 * Usage from `usage` of chat completions and embeddings. `prompt_tokens` includes tokens read from and written to the cache.
 * Some servers deviate, as their totals show: Gemini’s OpenAI endpoint and xAI leave reasoning out of
 * `completion_tokens`, and Mistral leaves audio out of `prompt_tokens`.
 */
export function chatUsage(value: unknown): Usage | null {
  const usage = asObject(value);
  if (usage === null || typeof usage['prompt_tokens'] !== 'number') return null;
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
    webSearches: tokens(asObject(usage['server_tool_use_details']), 'web_search_requests'),
  });
}

/** Usage of a response object of the Responses API, with the hosted searches in its output. */
export function responseUsage(response: JsonObject | null): Usage | null {
  const usage = asObject(response?.['usage']);
  if (usage === null || typeof usage['input_tokens'] !== 'number') return null;
  const produced = asObject(usage['output_tokens_details']);
  return classes({
    input: tokens(usage, 'input_tokens'),
    output: tokens(usage, 'output_tokens'),
    reasoning: tokens(produced, 'reasoning_tokens'),
    details: asObject(usage['input_tokens_details']),
    produced,
    webSearches: searches(response?.['output']),
  });
}

/** Counts billed searches; opening a page or finding in it is not billed. */
function searches(output: unknown): number {
  if (!Array.isArray(output)) return 0;
  return output.filter((value) => {
    const item = asObject(value);
    if (item?.['type'] !== 'web_search_call') return false;
    const action = asObject(item['action'])?.['type'];
    return action !== 'open_page' && action !== 'find_in_page' && action !== 'find';
  }).length;
}

interface Counts {
  readonly input: number;
  readonly output: number;
  readonly reasoning: number;
  readonly details: JsonObject | null;
  readonly produced: JsonObject | null;
  readonly webSearches: number;
}

/** Splits totals into disjoint classes. Some servers report more cached tokens than input (grok on Azure) or more reasoning than output. */
function classes({ input, reasoning, details, produced, webSearches, ...counts }: Counts): Usage {
  const output = Math.max(counts.output, reasoning);
  const cachedInput = tokens(details, 'cached_tokens');
  const cacheWrite = tokens(details, 'cache_write_tokens');
  const plain = Math.max(0, input - cachedInput - cacheWrite);
  const audio = tokens(details, 'audio_tokens');
  const inputAudio = Math.min(audio, plain);
  return withParts(
    { input: plain, cachedInput, cacheWrite, output, reasoning },
    {
      inputAudio,
      inputImage: Math.min(tokens(details, 'image_tokens'), plain - inputAudio),
      cachedInputAudio: Math.min(audio - inputAudio, cachedInput),
      outputAudio: Math.min(tokens(produced, 'audio_tokens'), output),
      outputImage: Math.min(tokens(produced, 'image_tokens'), output),
      ...(webSearches > 0 ? { fees: { webSearch: webSearches } } : {}),
    },
  );
}
