import type { IncomingHttpHeaders } from 'node:http';
import { isRefusal, type Refusal } from '../../../core/errors.ts';
import { affinityOf, openingText } from '../affinity.ts';
import { readAnswer } from '../answer.ts';
import { asArray, asObject, type FieldRules, readCount, readModel, readStream } from '../fields.ts';
import type { JsonBody } from '../json.ts';
import { meterNothing } from '../meter.ts';
import { type Edit, spliceBody } from '../splice.ts';
import { demandOf } from '../tally.ts';
import type { Changes, Dialect, Facts, RouteAction } from '../types.ts';
import { countMessages, isOpenSearch } from './demand.ts';
import { anthropicFamily } from './family.ts';
import { AnthropicMeter } from './meter.ts';
import { type AnthropicCounts, anthropicUsage, mergeAnthropic } from './usage.ts';

const otherModels = ['fallbacks', 'models'];
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
const rules: FieldRules = { governing: new Set(governing), otherModels };

function read(body: JsonBody, _action: RouteAction, headers: IncomingHttpHeaders): Facts | Refusal {
  const { value } = body;
  const model = readModel(body, rules);
  if (isRefusal(model)) return model;
  const stream = readStream(value);
  if (isRefusal(stream)) return stream;
  const limit = readCount(value, 'max_tokens');
  if (isRefusal(limit)) return limit;
  const tally = countMessages(body);
  if (isRefusal(tally)) return tally;
  const messages = asArray(value['messages']);
  const affinity = affinityOf(headers, value, [], () => openingText(value['system'], messages[0]));
  return {
    model,
    stream,
    maxOutputTokens: limit,
    demand: demandOf(tally),
    unjudged: [],
    wantsUsage: true,
    affinity,
  };
}

function rewrite(body: JsonBody, changes: Changes): Buffer {
  const edits: Edit[] = [];
  if (changes.model !== undefined) edits.push({ path: ['model'], value: changes.model });
  if (changes.maxOutputTokens !== undefined) edits.push({ path: ['max_tokens'], value: changes.maxOutputTokens });
  if (changes.searches !== undefined) edits.push({ path: ['tools'], value: limited(asArray(body.value['tools']), changes.searches) });
  return spliceBody(body, edits);
}

function limited(tools: readonly unknown[], searches: number): readonly unknown[] {
  return tools.map((entry) => {
    const tool = asObject(entry);
    return tool !== null && isOpenSearch(tool) ? { ...tool, max_uses: searches } : entry;
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
    readAnswer(body, (answer) => {
      const counts: AnthropicCounts = new Map();
      mergeAnthropic(counts, asObject(answer['usage']));
      return anthropicUsage(counts);
    }),
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
