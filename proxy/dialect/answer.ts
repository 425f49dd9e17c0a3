import { type JsonObject, parseJson } from '../../core/json.ts';
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

const maxServedName = 256;

/** A model's name, as an entry can carry it; undefined if there is none (Azure sends an empty one first). */
export function servedName(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value.slice(0, maxServedName).toWellFormed() : undefined;
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

/** No event nests so deep; one that does is not counted to its end. */
const maxDepth = 64;

/**
 * Bound of the tokens that a model generated for one event, given as its JSON value: a byte of text is at most one token, and
 * the event and each text in it have at most four more. Infinity: it nests too deep.
 */
export function generatedTokens(event: unknown): number {
  return tokensAnItem + (typeof event === 'string' ? Buffer.byteLength(event) : tokensWithin(event, 0));
}

/** Without the top-level `id`, which names the answer. Called for each event of a stream, so it allocates nothing. */
function tokensWithin(value: unknown, depth: number): number {
  if (typeof value !== 'object' || value === null) return 0;
  if (depth > maxDepth) return Number.POSITIVE_INFINITY;
  let tokens = 0;
  for (const name in value) {
    const member: unknown = value[name as keyof typeof value];
    if (typeof member === 'string') {
      if (member !== '' && !labels.has(name) && !(depth === 0 && name === 'id')) tokens += tokensAnItem + Buffer.byteLength(member);
    } else if (typeof member === 'object' && member !== null && !labels.has(name)) {
      tokens += writtenAsJson.has(name) ? tokensAnItem + Buffer.byteLength(JSON.stringify(member)) : tokensWithin(member, depth + 1);
    }
  }
  return tokens;
}
