import type { IncomingHttpHeaders } from 'node:http';
import { isRefusal, type Refusal } from '../../../core/errors.ts';
import { isObject, type JsonObject } from '../../../core/json.ts';
import { least } from '../../../core/money.ts';
import { valueBound } from '../../../core/price/text.ts';
import type { Usage } from '../../../core/price/types.ts';
import { affinityOf, openingText } from '../affinity.ts';
import { readAnswer } from '../answer.ts';
import {
  asArray,
  asObject,
  type FieldRules,
  firstRefusal,
  isGiven,
  readCount,
  readTarget,
  refuseShapes,
  type Shapes,
  shapesOf,
} from '../fields.ts';
import type { JsonBody } from '../json.ts';
import { type Edit, spliceBody } from '../splice.ts';
import { addStored, demandOf, startTally, type Tally } from '../tally.ts';
import type { Changes, Dialect, Facts, RouteAction } from '../types.ts';
import { namedCost } from '../usage.ts';
import { ChatMeter } from './chat-meter.ts';
import { countChatTools } from './chat-tools.ts';
import { templateTokens } from './count.ts';
import { openaiFamily, otherModels } from './family.ts';
import { freeInChat, judgeFields } from './judged.ts';
import { countCaching, countContent, countUnknown } from './parts.ts';
import { countShared, generatingEdits, readThinking, sharedShapes } from './shared.ts';
import { chatUsage } from './usage.ts';

const shapes: Shapes = shapesOf({
  ...sharedShapes,
  messages: 'an array of objects',
  stream_options: 'an object',
  functions: 'an array of objects',
  prediction: 'an object',
  web_search_options: 'an object',
  response_format: 'an object',
  reasoning_effort: 'text',
  thinking: 'an object',
});

/** Both limit the output. `max_tokens` is the older; some servers read only one of them. */
const limitFields = ['max_completion_tokens', 'max_tokens'] as const;
const counts = [...limitFields, 'n', 'best_of'];
const rules: FieldRules = { governing: new Set(['model', 'stream', ...otherModels, ...counts, ...shapes.keys()]), otherModels };

/** More answers than any server generates at once. */
export const maxChoices = 1024;

function read(body: JsonBody, _action: RouteAction, headers: IncomingHttpHeaders): Facts | Refusal {
  const { value } = body;
  const target = readTarget(body, rules);
  if (isRefusal(target)) return target;
  const limit = readLimit(value);
  if (isRefusal(limit)) return limit;
  const choices = readChoices(value);
  if (isRefusal(choices)) return choices;
  const thought = refuseShapes(value, shapes) ?? readThinking(value, value['reasoning_effort']);
  if (isRefusal(thought)) return thought;
  const tally = startTally(body.tokens);
  tally.choices = choices;
  const messages = asArray(value['messages']);
  const refusal = firstRefusal(messages.filter(isObject), (message) => countMessage(tally, message));
  if (refusal !== null) return refusal;
  countFields(tally, body);
  return {
    ...target,
    maxOutputTokens: limit,
    unjudged: judgeFields(tally, value, { governing: rules.governing, free: freeInChat }),
    templateTokens: () => templateTokens(body),
    demand: demandOf(tally),
    wantsUsage: asObject(value['stream_options'])?.['include_usage'] === true,
    affinity: affinityOf(headers, value, [], () => openingText(messages[0], messages.find(isFromUser))),
    ...(asObject(value['thinking'])?.['type'] === 'disabled' ? { thinking: { kind: 'off' } } : thought),
  };
}

function isFromUser(message: unknown): boolean {
  return asObject(message)?.['role'] === 'user';
}

/** Reads the output limit: the smaller, if both fields are given. */
function readLimit(value: JsonObject): number | undefined | Refusal {
  const [newerField, olderField] = limitFields;
  const limit = readCount(value, newerField);
  const older = readCount(value, olderField);
  if (isRefusal(limit)) return limit;
  return isRefusal(older) ? older : least(limit, older);
}

/** Reads how many answers are generated: older vLLM generates `best_of` answers to return the best `n`. */
export function readChoices(value: JsonObject): number | Refusal {
  const returned = readCount(value, 'n', maxChoices);
  if (isRefusal(returned)) return returned;
  const generated = readCount(value, 'best_of', maxChoices);
  if (isRefusal(generated)) return generated;
  return Math.max(returned ?? 1, generated ?? 1);
}

/** The members of a message that are text, whatever their form. */
const textMembers = new Set([
  ...['role', 'name', 'refusal', 'tool_calls', 'tool_call_id', 'function_call', 'tools', 'annotations', 'citations'],
  ...['reasoning', 'reasoning_content', 'reasoning_details', 'thinking', 'thinking_blocks', 'provider_specific_fields'],
]);

function countMessage(tally: Tally, message: JsonObject): Refusal | null {
  for (const name in message) {
    const value = message[name];
    if (name === 'content' || textMembers.has(name) || typeof value !== 'object' || value === null) continue;
    // The audio of an earlier answer, by its id.
    if (name === 'audio') addStored(tally, 'audio');
    else if (name === 'cache_control') countCaching(tally, value);
    else countUnknown(tally);
  }
  return countContent(tally, message['content'], 'messages');
}

/** A larger prediction is bounded by the whole body, so that it is not read a second time. */
const maxPredictionBytes = 1024 * 1024;

function countFields(tally: Tally, { value, members, tokens }: JsonBody): void {
  countShared(tally, value);
  countChatTools(tally, value);
  const format = asObject(value['response_format'])?.['type'];
  if (isGiven(format) && format !== 'text') tally.features.add('structuredOutput');
  // Rejected tokens of a prediction are billed as output, beyond the limit (OpenAI’s guide to predicted outputs).
  if (isGiven(value['prediction'])) {
    tally.features.add('prediction');
    const { start, end } = members.get('prediction') ?? { start: 0, end: 0 };
    tally.extraOutputTokens += (end - start > maxPredictionBytes ? tokens : valueBound(value['prediction']).tokens) * tally.choices;
  }
}

function rewrite(body: JsonBody, changes: Changes): Buffer {
  const edits = generatingEdits(body.value, changes);
  addLimit(edits, body.value, changes);
  if (changes.includeUsage === true) edits.push({ path: ['stream_options', 'include_usage'], value: true });
  return spliceBody(body, edits);
}

/** Writes the limit into each field that the caller used, and into the one that the provider reads. */
function addLimit(edits: Edit[], value: JsonObject, { maxOutputTokens, outputField }: Changes): void {
  const [newer, older] = limitFields;
  const given = least(numberIn(value, newer), numberIn(value, older));
  const limit = maxOutputTokens ?? given;
  if (limit === undefined) return;
  const read = outputField ?? (given === undefined ? newer : undefined);
  for (const name of limitFields) {
    const isWritten = name === read || typeof value[name] === 'number';
    if (isWritten && value[name] !== limit) edits.push({ path: [name], value: limit });
  }
}

function numberIn(value: JsonObject, name: string): number | undefined {
  const number = value[name];
  return typeof number === 'number' ? number : undefined;
}

function usageOf(answer: JsonObject): Usage | null {
  return chatUsage(answer['usage'], answer['service_tier']);
}

/** OpenAI chat completions, also of compatible servers. */
export const openaiChat: Dialect = {
  id: 'openai.chat',
  family: openaiFamily,
  billed: true,
  generates: true,
  read,
  rewrite,
  readUsage: (body) => readAnswer(body, usageOf, 'model', (answer) => namedCost(answer['usage'])),
  meterStream: (usageChunk) => new ChatMeter(usageChunk),
};
