import type { IncomingHttpHeaders } from 'node:http';
import { isRefusal, type Refusal } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/json.ts';
import { affinityOf, openingText } from '../affinity.ts';
import { readAnswer } from '../answer.ts';
import { asArray, asObject, asString, badField, type FieldRules, isGiven, readCount, readModel, readStream } from '../fields.ts';
import type { JsonBody } from '../json.ts';
import { type Edit, spliceBody } from '../splice.ts';
import { addStored, demandOf, startTally, type Tally, unbounded } from '../tally.ts';
import type { Changes, Dialect, Facts, RouteAction } from '../types.ts';
import { openaiFamily, otherModels, responsesStreamError } from './family.ts';
import { countContent, countResult, countShared } from './parts.ts';
import { ResponsesMeter } from './responses-meter.ts';
import { countHostedTools } from './tools.ts';
import { responseUsage } from './usage.ts';

const governing = [
  'model',
  'input',
  'stream',
  'max_output_tokens',
  'max_tool_calls',
  'tools',
  'service_tier',
  'background',
  'previous_response_id',
  'conversation',
  'prompt',
  'context_management',
  'plugins',
  ...otherModels,
];
const rules: FieldRules = { governing: new Set(governing), otherModels };

function read(body: JsonBody, _action: RouteAction, headers: IncomingHttpHeaders): Facts | Refusal {
  const { value } = body;
  const model = readModel(body, rules);
  if (isRefusal(model)) return model;
  const stream = readStream(value);
  if (isRefusal(stream)) return stream;
  const limit = readCount(value, 'max_output_tokens');
  if (isRefusal(limit)) return limit;
  const toolCalls = readCount(value, 'max_tool_calls');
  if (isRefusal(toolCalls)) return toolCalls;
  const background = value['background'];
  if (isGiven(background) && typeof background !== 'boolean') return badField('background', 'true or false');
  const tally = countDemand(body, toolCalls ?? null);
  if (isRefusal(tally)) return tally;
  const affinity = affinityOf(headers, value, ['conversation', 'previous_response_id'], () => opening(value));
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

function opening(value: JsonObject): string {
  const items = asArray(value['input']);
  return openingText(
    value['instructions'],
    asString(value['input']) ?? items.find((item) => asObject(item)?.['role'] === 'user') ?? items[0],
  );
}

function countDemand(body: JsonBody, toolCalls: number | null): Tally | Refusal {
  const { value } = body;
  const tally = startTally(body.tokens);
  countShared(tally, value);
  const tools = [...asArray(value['tools'])];
  for (const item of asArray(value['input'])) tools.push(...countItem(tally, item));
  const refusal = countHostedTools(tally, tools, toolCalls);
  if (refusal !== null) return refusal;
  if (isGiven(value['previous_response_id']) || isGiven(value['conversation'])) addStored(tally, 'text', 'image', 'document');
  if (isGiven(value['prompt'])) unbounded(tally, 'a stored prompt may bring tools and text of any size');
  if (isGiven(value['context_management'])) unbounded(tally, 'compaction at the provider writes output beyond the output limit');
  if (value['background'] === true) unbounded(tally, 'a background response reports its usage only later');
  if (asArray(value['plugins']).length > 0) unbounded(tally, 'plugins run at the provider without a limit on their cost');
  return tally;
}

const textItems = new Set([
  'function_call',
  'custom_tool_call',
  'code_interpreter_call',
  'computer_call',
  'local_shell_call',
  'local_shell_call_output',
  'shell_call',
  'shell_call_output',
  'apply_patch_call',
  'apply_patch_call_output',
  'mcp_list_tools',
  'mcp_call',
  'mcp_approval_request',
  'mcp_approval_response',
  'tool_search_call',
  'configuration_update',
  'program',
  'program_output',
  'compaction',
]);

/** Counts the media of one input item; returns the tools that it adds. */
function countItem(tally: Tally, entry: unknown): readonly unknown[] {
  const item = asObject(entry);
  if (item === null) return [];
  const type = asString(item['type']) ?? 'message';
  if (textItems.has(type)) return [];
  switch (type) {
    case 'message':
      countContent(tally, item['content']);
      return [];
    case 'function_call_output':
    case 'custom_tool_call_output':
    case 'computer_call_output':
      countContent(tally, item['output']);
      return [];
    case 'reasoning':
      // Without encrypted content, the provider looks it up by its id.
      if (typeof item['encrypted_content'] !== 'string') addStored(tally, 'text');
      return [];
    case 'image_generation_call':
      countResult(tally, item['result']);
      return [];
    case 'additional_tools':
    case 'tool_search_output':
      return asArray(item['tools']);
    default:
      // References, results that the provider stores, and unknown items.
      addStored(tally, 'text', 'image', 'document');
      return [];
  }
}

function rewrite(body: JsonBody, changes: Changes): Buffer {
  const edits: Edit[] = [];
  if (changes.model !== undefined) edits.push({ path: ['model'], value: changes.model });
  if (changes.maxOutputTokens !== undefined) edits.push({ path: ['max_output_tokens'], value: changes.maxOutputTokens });
  if (changes.searches !== undefined) edits.push({ path: ['max_tool_calls'], value: changes.searches });
  return spliceBody(body, edits);
}

/** OpenAI Responses. */
export const openaiResponses: Dialect = {
  id: 'openai.responses',
  family: openaiFamily,
  streamError: responsesStreamError,
  billed: true,
  generates: true,
  read,
  rewrite,
  readUsage: (body) => readAnswer(body, responseUsage),
  meterStream: () => new ResponsesMeter(),
};
