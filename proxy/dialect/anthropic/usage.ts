import { defined, type JsonObject } from '../../../core/json.ts';
import type { Serving, Usage } from '../../../core/price/types.ts';
import { asArray, asObject } from '../fields.ts';
import { tokens, withParts } from '../usage.ts';

/** The latest value of each figure in a message so far, by dotted path. */
export type AnthropicCounts = Map<string, number>;

const paths: readonly (readonly [string] | readonly [string, string])[] = [
  ['input_tokens'],
  ['cache_creation_input_tokens'],
  ['cache_read_input_tokens'],
  ['output_tokens'],
  ['cache_creation', 'ephemeral_5m_input_tokens'],
  ['cache_creation', 'ephemeral_1h_input_tokens'],
  ['output_tokens_details', 'thinking_tokens'],
  ['server_tool_use', 'web_search_requests'],
];

/** What the answer says of how it was served, if that has a price of its own. */
const servings: readonly (readonly [name: string, value: string, serving: Serving])[] = [
  ['speed', 'fast', 'fast'],
  ['inference_geo', 'us', 'us'],
];

/** Marks a result of code execution, in JSON as a provider writes it; within text its quote would be escaped. */
const codeResult = 'code_execution_tool_result"';

/** Notes a hosted session whose results an event or answer shows: usage does not name it. */
export function noteResults(counts: AnthropicCounts, text: string): void {
  if (text.includes(codeResult)) counts.set('container', 1);
}

/** Notes a hosted session that a message names. One that files were loaded into is billed although nothing runs in it. */
export function noteContainer(counts: AnthropicCounts, message: JsonObject | null): void {
  if (asObject(message?.['container']) !== null) counts.set('container', 1);
}

/** Overwrites the figures that this usage object names. Figures are running totals; null leaves a figure as it was. */
export function mergeAnthropic(counts: AnthropicCounts, value: unknown): void {
  const usage = asObject(value);
  if (usage === null) return;
  for (const [outer, inner] of paths) {
    const figure = inner === undefined ? usage[outer] : asObject(usage[outer])?.[inner];
    if (typeof figure === 'number') counts.set(inner ?? outer, figure);
  }
  for (const [name, value, serving] of servings) if (usage[name] === value) counts.set(`serving.${serving}`, 1);
  const compactions = asArray(usage['iterations']).map(asObject).filter(isCompaction);
  if (compactions.length === 0) return;
  // Billed in addition to the totals.
  for (const [name] of paths.slice(0, 4))
    counts.set(
      `compaction.${name}`,
      compactions.reduce((sum, one) => sum + tokens(one, name), 0),
    );
  const written1h = compactions.reduce((sum, one) => sum + tokens(asObject(one['cache_creation']), 'ephemeral_1h_input_tokens'), 0);
  counts.set('compaction.ephemeral_1h_input_tokens', written1h);
}

function isCompaction(iteration: JsonObject | null): iteration is JsonObject {
  return iteration?.['type'] === 'compaction';
}

/** Usage from Anthropic’s counts; null without both input and output. `input_tokens` excludes tokens read from and written to the cache. */
export function anthropicUsage(counts: AnthropicCounts): Usage | null {
  if (!counts.has('input_tokens') || !counts.has('output_tokens')) return null;
  const figure = (name: string): number => Math.max(0, Math.ceil(counts.get(name) ?? 0));
  const sum = (name: string): number => figure(name) + figure(`compaction.${name}`);
  const written1h = figure('ephemeral_1h_input_tokens');
  const written = Math.max(figure('cache_creation_input_tokens'), figure('ephemeral_5m_input_tokens') + written1h);
  const output = sum('output_tokens');
  const served = servings.map(([, , serving]) => serving).filter((serving) => counts.has(`serving.${serving}`));
  return withParts(
    {
      input: sum('input_tokens'),
      cachedInput: sum('cache_read_input_tokens'),
      cacheWrite: written + figure('compaction.cache_creation_input_tokens'),
      output,
      reasoning: Math.min(figure('thinking_tokens'), output),
    },
    {
      cacheWrite1h: written1h + figure('compaction.ephemeral_1h_input_tokens'),
      ...feesOf(figure),
      ...(served.length > 0 ? { servings: served } : {}),
    },
  );
}

function feesOf(figure: (name: string) => number): Pick<Usage, 'fees'> {
  const fees = defined({ webSearch: figure('web_search_requests') || undefined, container: figure('container') || undefined });
  return Object.keys(fees).length === 0 ? {} : { fees };
}
