import type { JsonObject } from '../../../core/json.ts';
import type { Usage } from '../../../core/price/types.ts';
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

/** Overwrites the figures that this usage object names. Figures are running totals; null leaves a figure as it was. */
export function mergeAnthropic(counts: AnthropicCounts, value: unknown): void {
  const usage = asObject(value);
  if (usage === null) return;
  for (const [outer, inner] of paths) {
    const figure = inner === undefined ? usage[outer] : asObject(usage[outer])?.[inner];
    if (typeof figure === 'number') counts.set(inner ?? outer, figure);
  }
  const compactions = asArray(usage['iterations']).map(asObject).filter(isCompaction);
  if (compactions.length === 0) return;
  // Billed in addition to the totals.
  for (const [name] of paths.slice(0, 4))
    counts.set(
      `compaction.${name}`,
      compactions.reduce((sum, one) => sum + tokens(one, name), 0),
    );
}

function isCompaction(iteration: JsonObject | null): iteration is JsonObject {
  return iteration?.['type'] === 'compaction';
}

/** Usage from Anthropic’s counts; null if there are none. `input_tokens` excludes tokens read from and written to the cache. */
export function anthropicUsage(counts: AnthropicCounts): Usage | null {
  if (!counts.has('input_tokens') && !counts.has('output_tokens')) return null;
  const figure = (name: string): number => Math.max(0, Math.ceil(counts.get(name) ?? 0));
  const sum = (name: string): number => figure(name) + figure(`compaction.${name}`);
  const written1h = figure('ephemeral_1h_input_tokens');
  const written = Math.max(figure('cache_creation_input_tokens'), figure('ephemeral_5m_input_tokens') + written1h);
  const output = sum('output_tokens');
  return withParts(
    {
      input: sum('input_tokens'),
      cachedInput: sum('cache_read_input_tokens'),
      cacheWrite: written + figure('compaction.cache_creation_input_tokens'),
      output,
      reasoning: Math.min(figure('thinking_tokens'), output),
    },
    {
      cacheWrite1h: written1h,
      ...(figure('web_search_requests') > 0 ? { fees: { webSearch: figure('web_search_requests') } } : {}),
    },
  );
}
