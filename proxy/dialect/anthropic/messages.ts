import type { IncomingHttpHeaders } from 'node:http';
import { isRefusal, type Refusal } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/json.ts';
import type { Effort, Thinking } from '../../../core/price/output-limit.ts';
import { affinityOf, openingText } from '../affinity.ts';
import { readAnswer } from '../answer.ts';
import { asArray, asObject, type FieldRules, readCount, readTarget } from '../fields.ts';
import type { JsonBody } from '../json.ts';
import { meterNothing } from '../meter.ts';
import { type Edit, maxPriceEdit, spliceBody } from '../splice.ts';
import { demandOf } from '../tally.ts';
import type { Changes, Dialect, Facts, RouteAction } from '../types.ts';
import { namedCost } from '../usage.ts';
import { countMessages, isSearchAbove } from './demand.ts';
import { anthropicFamily } from './family.ts';
import { AnthropicMeter } from './meter.ts';
import { type AnthropicCounts, anthropicUsage, mergeAnthropic, noteContainer, noteResults } from './usage.ts';

/** `models`, `route` and `preset` are OpenRouter’s, which serves this API too. */
const otherModels = ['fallbacks', 'models', 'route', 'preset'];
const governing = [
  'model',
  'messages',
  'system',
  'stream',
  'max_tokens',
  'tools',
  'mcp_servers',
  'service_tier',
  'speed',
  'inference_geo',
  'container',
  'context_management',
  'compaction',
  'thread',
  'cache_control',
  ...otherModels,
];
/** What Anthropic's API names beside: none of it changes what is billed. A compatible server may read other fields. */
const judged: ReadonlySet<string> = new Set([
  ...governing,
  ...['thinking', 'output_config', 'output_format', 'tool_choice', 'metadata', 'stop_sequences', 'temperature', 'top_k', 'top_p'],
  ...['diagnostics', 'user_profile_id', 'billing_policy', 'fallback_credit_token'],
]);
const rules: FieldRules = { governing: new Set(governing), otherModels };

function read(body: JsonBody, _action: RouteAction, headers: IncomingHttpHeaders): Facts | Refusal {
  const { value } = body;
  const target = readTarget(body, rules);
  if (isRefusal(target)) return target;
  // 0 fills the cache and generates nothing (platform.claude.com/docs/en/build-with-claude/prompt-caching).
  const limit = value['max_tokens'] === 0 ? 0 : readCount(value, 'max_tokens');
  if (isRefusal(limit)) return limit;
  const thinking = readThinking(value, headers);
  if (isRefusal(thinking)) return thinking;
  const tally = countMessages(body);
  if (isRefusal(tally)) return tally;
  const messages = asArray(value['messages']);
  const affinity = affinityOf(headers, value, [], () => openingText(value['system'], messages[0]));
  return {
    ...target,
    maxOutputTokens: limit,
    thinking,
    demand: demandOf(tally),
    unjudged: Object.keys(value).filter((name) => !judged.has(name)),
    wantsUsage: true,
    affinity,
  };
}

/** The least budget that Anthropic takes (platform.claude.com/docs/en/build-with-claude/extended-thinking). */
const leastThinkingTokens = 1024;

function readThinking(value: JsonObject, headers: IncomingHttpHeaders): Thinking | undefined | Refusal {
  const thinking = asObject(value['thinking']);
  const effort = asObject(value['output_config'])?.['effort'];
  switch (thinking?.['type']) {
    case 'disabled':
      return { kind: 'off' };
    case 'enabled':
    case 'between_tools': {
      const tokens = readCount(thinking, 'budget_tokens');
      if (isRefusal(tokens) || tokens === undefined) return tokens;
      // With this header the budget is that of all turns and may exceed `max_tokens`.
      if (String(headers['anthropic-beta']).includes('interleaved-thinking')) return undefined;
      return { kind: 'budget', tokens, leastTokens: leastThinkingTokens };
    }
    case 'adaptive':
      return { kind: 'effort', effort: isEffort(effort) ? effort : 'high' };
    default:
      return isEffort(effort) ? { kind: 'effort', effort } : undefined;
  }
}

const efforts: readonly unknown[] = ['minimal', 'low', 'medium', 'high', 'xhigh', 'max'] satisfies Effort[];

function isEffort(value: unknown): value is Effort {
  return efforts.includes(value);
}

function rewrite(body: JsonBody, changes: Changes): Buffer {
  const edits: Edit[] = [];
  if (changes.model !== undefined) edits.push({ path: ['model'], value: changes.model });
  if (changes.maxPrice !== undefined) edits.push(maxPriceEdit(body.value, changes.maxPrice));
  if (changes.maxOutputTokens !== undefined) edits.push({ path: ['max_tokens'], value: changes.maxOutputTokens });
  if (changes.thinkingTokens !== undefined) edits.push({ path: ['thinking', 'budget_tokens'], value: changes.thinkingTokens });
  if (changes.toolCalls !== undefined) edits.push({ path: ['tools'], value: limited(asArray(body.value['tools']), changes.toolCalls) });
  return spliceBody(body, edits);
}

function limited(tools: readonly unknown[], searches: number): readonly unknown[] {
  return tools.map((entry) => {
    const tool = asObject(entry);
    return tool !== null && isSearchAbove(tool, searches) ? { ...tool, max_uses: searches } : entry;
  });
}

/** Anthropic Messages. */
export const anthropicMessages: Dialect = {
  id: 'anthropic.messages',
  family: anthropicFamily,
  billed: true,
  generates: true,
  read,
  rewrite,
  readUsage: (body) =>
    readAnswer(
      body,
      (answer) => {
        const counts: AnthropicCounts = new Map();
        noteResults(counts, body.toString('latin1'));
        noteContainer(counts, answer);
        mergeAnthropic(counts, asObject(answer['usage']));
        return anthropicUsage(counts);
      },
      'model',
      (answer) => namedCost(answer['usage']),
    ),
  meterStream: () => new AnthropicMeter(),
};

/** Anthropic token counting, which is not billed. */
export const anthropicCountTokens: Dialect = {
  ...anthropicMessages,
  id: 'anthropic.count_tokens',
  billed: false,
  generates: false,
  rewrite: (body, { model }) => spliceBody(body, model === undefined ? [] : [{ path: ['model'], value: model }]),
  readUsage: (body) => readAnswer(body, () => null),
  meterStream: meterNothing,
};
