import { isObject, type JsonObject, parseJson } from '../../core/json.ts';
import type { Usage } from '../../core/price/types.ts';
import { asObject } from './fields.ts';
import type { Reading } from './types.ts';

/** What some answers name beside their usage. */
export type AnswerNotes = Pick<Reading, 'answerId' | 'namedCostNano'>;

/** Reads a whole answer: its usage and notes by the given rules, its model, and an error that replaces the answer. */
export function readAnswer(
  body: Buffer,
  usageOf: (answer: JsonObject) => Usage | null,
  modelField = 'model',
  notesOf: (answer: JsonObject) => AnswerNotes = () => ({}),
): Reading {
  const answer = asObject(parseJson(body.toString('utf8')));
  if (answer === null) return { usage: null };
  const errorBody = asObject(answer['error']) === null ? undefined : JSON.stringify({ error: answer['error'] });
  return { ...reading(usageOf(answer), servedName(answer[modelField]), errorBody), ...notesOf(answer) };
}

/** A model's name; undefined if there is none (Azure sends an empty one first). */
export function servedName(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Makes a reading of these parts. */
export function reading(usage: Usage | null, servedModel: string | undefined, errorBody?: string): Reading {
  return { usage, ...(servedModel === undefined ? {} : { servedModel }), ...(errorBody === undefined ? {} : { errorBody }) };
}

/** Tokens of an item beside its text: marks of turns, channels and calls, which no text shows. */
const tokensAnItem = 4;
/** Members of any object that hold no generated text. Members that are not here count. */
const labels = new Set([
  ...['type', 'object', 'role', 'model', 'modelVersion', 'index', 'status', 'created', 'createTime', 'service_tier', 'system_fingerprint'],
  ...['finish_reason', 'native_finish_reason', 'finishReason', 'stop_reason', 'usage', 'usageMetadata', 'safetyRatings', 'logprobs'],
  ...['item_id', 'response_id', 'responseId', 'sequence_number', 'obfuscation', 'signature', 'thoughtSignature', 'provider'],
  ...['content_filter_results', 'prompt_filter_results', 'trafficType'],
]);
/** Arguments of a call that arrive as a JSON value. The model wrote their JSON text. */
const writtenAsJson = new Set(['args', 'input', 'arguments']);

/**
 * Bound of the tokens that a model generated for one event, given as its JSON value: a byte of text is at most one token, and
 * the event and each text in it have at most four more.
 */
export function generatedTokens(event: unknown): number {
  let tokens = tokensAnItem;
  const open: unknown[] = [isObject(event) ? { ...event, id: null } : event];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (typeof value === 'string') tokens += Buffer.byteLength(value);
    else if (Array.isArray(value)) open.push(...value);
    else if (isObject(value)) {
      const members = generatedMembers(value);
      tokens += tokensAnItem * members.filter((member) => typeof member === 'string' && member !== '').length;
      open.push(...members);
    }
  }
  return tokens;
}

function generatedMembers(value: JsonObject): readonly unknown[] {
  const members = Object.entries(value).filter(([name]) => !labels.has(name));
  return members.map(([name, member]) => (writtenAsJson.has(name) && isObject(member) ? JSON.stringify(member) : member));
}
