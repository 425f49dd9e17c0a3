import type { IncomingHttpHeaders } from 'node:http';
import { isRefusal, type Refusal, refuse } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/json.ts';
import { affinityOf, openingText } from '../affinity.ts';
import { readAnswer } from '../answer.ts';
import { asArray, asObject, asString, badField, type FieldRules, isGiven, readCount, readModel, readStream } from '../fields.ts';
import type { JsonBody } from '../json.ts';
import { type Edit, spliceBody } from '../splice.ts';
import { addFee, addStored, demandOf, startTally, type Tally, unbounded } from '../tally.ts';
import type { Changes, Dialect, Facts, RouteAction } from '../types.ts';
import { ChatMeter } from './chat-meter.ts';
import { openaiFamily, otherModels } from './family.ts';
import { countContent, countShared } from './parts.ts';
import { chatUsage } from './usage.ts';

const governing = [
  'model',
  'messages',
  'stream',
  'stream_options',
  'max_tokens',
  'max_completion_tokens',
  'n',
  'tools',
  'service_tier',
  'modalities',
  'prediction',
  'web_search_options',
  'plugins',
  ...otherModels,
];
const rules: FieldRules = { governing: new Set(governing), otherModels };

const maxChoices = 1024;

function read(body: JsonBody, _action: RouteAction, headers: IncomingHttpHeaders): Facts | Refusal {
  const { value } = body;
  const model = readModel(body, rules);
  if (isRefusal(model)) return model;
  const stream = readStream(value);
  if (isRefusal(stream)) return stream;
  const limit = readLimit(value);
  if (isRefusal(limit)) return limit;
  const choices = readCount(value, 'n', maxChoices);
  if (isRefusal(choices)) return choices;
  const options = value['stream_options'];
  if (isGiven(options) && asObject(options) === null) return badField('stream_options', 'an object');
  const messages = asArray(value['messages']);
  const affinity = affinityOf(headers, value, [], () => openingText(messages[0], messages.find(isFromUser)));
  return {
    model,
    stream,
    maxOutputTokens: limit,
    demand: demandOf(countDemand(body, messages, choices ?? 1)),
    unjudged: [],
    wantsUsage: asObject(options)?.['include_usage'] === true,
    affinity,
  };
}

function isFromUser(message: unknown): boolean {
  return asObject(message)?.['role'] === 'user';
}

/** Reads the output limit. `max_tokens` is the old name of `max_completion_tokens`; if both are given, they must agree. */
function readLimit(value: JsonObject): number | undefined | Refusal {
  const current = readCount(value, 'max_completion_tokens');
  if (isRefusal(current)) return current;
  const old = readCount(value, 'max_tokens');
  if (isRefusal(old)) return old;
  if (current !== undefined && old !== undefined && current !== old) {
    return refuse('invalid_request', 'The fields max_tokens and max_completion_tokens differ; give one of them.');
  }
  return current ?? old;
}

function countDemand(body: JsonBody, messages: readonly unknown[], choices: number): Tally {
  const { value } = body;
  const tally = startTally(body.tokens);
  tally.choices = choices;
  countShared(tally, value);
  for (const entry of messages) {
    const message = asObject(entry);
    if (message === null) continue;
    countContent(tally, message['content']);
    // The audio of an earlier answer, by its id.
    if (asObject(message['audio']) !== null) addStored(tally, 'audio');
  }
  countTools(tally, value);
  const modalities = asArray(value['modalities']);
  if (modalities.includes('audio')) tally.outputs.add('audio');
  if (modalities.includes('image')) tally.outputs.add('image');
  if (asObject(value['prediction']) !== null) unbounded(tally, 'the rejected tokens of a prediction are billed in addition to the output');
  return tally;
}

/** Counts tools. The caller runs functions and custom tools; the provider runs everything else, at unknown cost. */
function countTools(tally: Tally, value: JsonObject): void {
  for (const entry of asArray(value['tools'])) {
    const type = asObject(entry)?.['type'];
    if (type === 'function' || type === 'custom') continue;
    if (asString(type)?.includes('web_search') === true) hostedSearch(tally);
    else unbounded(tally, `the tool ${JSON.stringify(type ?? null).slice(0, 60)} runs at the provider without a limit on its cost`);
  }
  if (asObject(value['web_search_options']) !== null) hostedSearch(tally);
  if (asArray(value['plugins']).length > 0) unbounded(tally, 'plugins run at the provider without a limit on their cost');
}

function hostedSearch(tally: Tally): void {
  addFee(tally, 'webSearch', null);
  addStored(tally, 'text');
}

function rewrite(body: JsonBody, changes: Changes): Buffer {
  const edits: Edit[] = [];
  if (changes.model !== undefined) edits.push({ path: ['model'], value: changes.model });
  if (changes.maxOutputTokens !== undefined) {
    for (const field of limitFields(body, changes)) edits.push({ path: [field], value: changes.maxOutputTokens });
  }
  if (changes.includeUsage === true) edits.push({ path: ['stream_options', 'include_usage'], value: true });
  return spliceBody(body, edits);
}

/** The limit fields that the caller used, otherwise the one that the provider knows. */
function limitFields({ value }: JsonBody, changes: Changes): readonly string[] {
  const used = ['max_completion_tokens', 'max_tokens'].filter((name) => typeof value[name] === 'number');
  return used.length > 0 ? used : [changes.outputField ?? 'max_completion_tokens'];
}

/** OpenAI chat completions, also of compatible servers. */
export const openaiChat: Dialect = {
  id: 'openai.chat',
  family: openaiFamily,
  billed: true,
  generates: true,
  read,
  rewrite,
  readUsage: (body) => readAnswer(body, (answer) => chatUsage(answer['usage'])),
  meterStream: (usageChunk) => new ChatMeter(usageChunk),
};
