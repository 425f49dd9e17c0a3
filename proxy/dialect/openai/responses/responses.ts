import type { IncomingHttpHeaders } from 'node:http';
import { isRefusal, type Refusal, refuse } from '../../../../core/errors.ts';
import { isObject, type JsonObject } from '../../../../core/json.ts';
import { affinityOf, openingText } from '../../affinity.ts';
import { readAnswer } from '../../answer.ts';
import {
  asArray,
  asObject,
  asString,
  type FieldRules,
  isGiven,
  readCount,
  readTarget,
  refuseShapes,
  type Shapes,
  shapesOf,
} from '../../fields.ts';
import type { JsonBody } from '../../json.ts';
import { spliceBody } from '../../splice.ts';
import { addStored, demandOf, startTally, type Tally, unbounded } from '../../tally.ts';
import type { Changes, Dialect, Facts, RouteAction } from '../../types.ts';
import { templateTokens } from '../count.ts';
import { openaiFamily, otherModels, responsesStreamError } from '../family.ts';
import { freeInResponses, judgeFields } from '../judged.ts';
import { countShared, generatingEdits, readThinking, sharedShapes } from '../shared.ts';
import { countHostedTools } from '../tools.ts';
import { responseNotes, responseUsage } from '../usage.ts';
import { countItems } from './items.ts';
import { ResponsesMeter } from './responses-meter.ts';

const shapes: Shapes = shapesOf({
  ...sharedShapes,
  input: 'text or an array of objects',
  instructions: 'text',
  background: 'true or false',
  previous_response_id: 'text',
  conversation: 'text or an object',
  prompt: 'an object',
  context_management: 'an array of objects',
  text: 'an object',
});
const counts = ['max_output_tokens', 'max_tool_calls'];
const rules: FieldRules = { governing: new Set(['model', 'stream', ...otherModels, ...counts, ...shapes.keys()]), otherModels };

function read(body: JsonBody, _action: RouteAction, headers: IncomingHttpHeaders): Facts | Refusal {
  return readResponse(body, headers, countHostedTools);
}

/** Reads a request. `countTools`: how the tools that it offers count. */
export function readResponse(body: JsonBody, headers: IncomingHttpHeaders, countTools: typeof countHostedTools): Facts | Refusal {
  const { value } = body;
  const target = readTarget(body, rules);
  if (isRefusal(target)) return target;
  const limit = readCount(value, 'max_output_tokens');
  if (isRefusal(limit)) return limit;
  const toolCalls = readCount(value, 'max_tool_calls');
  if (isRefusal(toolCalls)) return toolCalls;
  const thought = refuseShapes(value, shapes) ?? refuseBackground(value) ?? readThinking(value, undefined);
  if (isRefusal(thought)) return thought;
  const tally = startTally(body.tokens);
  const added = countItems(tally, asArray(value['input']).filter(isObject));
  if (isRefusal(added)) return added;
  const refusal = countTools(tally, [...asArray(value['tools']).filter(isObject), ...added], toolCalls ?? null);
  if (refusal !== null) return refusal;
  countFields(tally, value, limit ?? null);
  const continued = asString(value['previous_response_id']);
  return {
    ...target,
    maxOutputTokens: limit,
    templateTokens: () => templateTokens(body),
    unjudged: [...hostedTools(tally), ...judgeFields(tally, value, { governing: rules.governing, free: freeInResponses })],
    demand: demandOf(tally),
    ...thought,
    ...(continued === null ? {} : { continues: continued }),
    wantsUsage: true,
    affinity: affinityOf(headers, value, ['conversation', 'previous_response_id'], () => opening(value)),
  };
}

/** Servers of other makers may run hosted tools without regard to the limit of calls. */
function hostedTools({ features }: Tally): readonly string[] {
  return features.has('hostedTools') ? ['tools'] : [];
}

function opening(value: JsonObject): string {
  const items = asArray(value['input']);
  return openingText(
    value['instructions'],
    asString(value['input']) ?? items.find((item) => asObject(item)?.['role'] === 'user') ?? items[0],
  );
}

/** The answer names no usage when it comes, and KeyForge has no route to fetch it later: it would be paid for nothing. */
function refuseBackground(value: JsonObject): Refusal | null {
  if (value['background'] !== true) return null;
  return refuse(
    'unmeterable_request',
    'KeyForge serves no background responses, because their usage is known only later: leave background out, and set stream to true for long answers.',
  );
}

function countFields(tally: Tally, value: JsonObject, limit: number | null): void {
  countShared(tally, value);
  const format = asObject(asObject(value['text'])?.['format'])?.['type'];
  if (isGiven(format) && format !== 'text') tally.features.add('structuredOutput');
  if (isGiven(value['previous_response_id']) || isGiven(value['conversation'])) addStored(tally, 'text', 'image', 'document');
  if (isGiven(value['prompt'])) unbounded(tally, 'a stored prompt may bring tools and text of any size');
  const strategies = asArray(value['context_management']);
  if (strategies.some((strategy) => !isIdle(tally, asObject(strategy), limit)))
    unbounded(
      tally,
      'compaction at the provider writes output beyond the output limit; set max_output_tokens, and a compact_threshold above it and the input',
    );
}

/** True if input and output stay below the threshold at which compaction starts (OpenAI’s guide to compaction). */
function isIdle(tally: Tally, strategy: JsonObject | null, limit: number | null): boolean {
  const threshold = strategy?.['compact_threshold'];
  const isText =
    tally.stored.size === 0 &&
    tally.inputReads === 1 &&
    tally.openCalls === undefined &&
    tally.pictures.length === 0 &&
    Object.keys(tally.media).length === 0;
  return (
    isText && limit !== null && strategy?.['type'] === 'compaction' && typeof threshold === 'number' && tally.textTokens + limit < threshold
  );
}

function rewrite(body: JsonBody, changes: Changes): Buffer {
  const edits = generatingEdits(body.value, changes);
  if (changes.maxOutputTokens !== undefined) edits.push({ path: ['max_output_tokens'], value: changes.maxOutputTokens });
  if (changes.toolCalls !== undefined) edits.push({ path: ['max_tool_calls'], value: changes.toolCalls });
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
  readUsage: (body) => readAnswer(body, responseUsage, 'model', responseNotes),
  meterStream: () => new ResponsesMeter(),
};
