import { isObject, type JsonObject, parseJson, scalarText } from '../../../core/json.ts';
import { shownBound, shownTextBound } from '../../../core/price/shown.ts';
import { stringBound, valueBound } from '../../../core/price/text.ts';
import { asArray, asObject } from '../fields.ts';
import type { JsonBody } from '../json.ts';
import { requestOf } from '../splice.ts';
import type { Counter } from '../types.ts';

/** The parameters of POST /v1/responses/input_tokens (developers.openai.com/api/docs/guides/token-counting). */
const counted = new Map(
  ['input', 'instructions', 'tools', 'tool_choice', 'parallel_tool_calls', 'reasoning', 'text', 'truncation', 'personality'].map((name) => [
    name,
    name,
  ]),
);

/** Fields of compatible servers whose text reaches the model, but not the counter. */
const untold = ['documents', 'input_ids', 'chat_template_kwargs', 'safe_prompt'];

function hasAny(value: JsonObject, names: readonly string[]): boolean {
  return names.some((name) => value[name] !== undefined);
}

function read(answer: unknown): number | null {
  return isObject(answer) && typeof answer['input_tokens'] === 'number' ? answer['input_tokens'] : null;
}

/** OpenAI’s counter of Responses: it counts exactly what the model receives, pictures and tools included. */
export const responsesCounter: Counter = {
  modalities: ['image'],
  request(body, model) {
    return hasAny(body.value, untold) ? null : requestOf(model, body, counted);
  },
  read,
};

const roles = new Set(['system', 'developer', 'user', 'assistant']);

/** True for a message that is an item of Responses as it is. */
function isItem(message: unknown): boolean {
  if (!isObject(message) || typeof message['content'] !== 'string' || !roles.has(scalarText(message['role']))) return false;
  return Object.keys(message).every((name) => name === 'role' || name === 'content');
}

const asInput = new Map([['messages', 'input']]);

/** Fields of a chat request whose text reaches the model beside the messages. */
const told = [...['tools', 'tool_choice', 'functions', 'function_call', 'response_format', 'web_search_options', 'prediction'], ...untold];

/** The same counter for chat: only for plain messages, which have an exact form in Responses. */
export const chatCounter: Counter = {
  modalities: [],
  request(body, model) {
    const messages = body.value['messages'];
    if (hasAny(body.value, told) || !Array.isArray(messages) || !messages.every(isItem)) return null;
    return requestOf(model, body, asInput);
  },
  read,
};

/** Arguments of calls up to this length in all are parsed. Longer ones have a bound that is read from their text, and is a little higher. */
const maxParsedLength = 64 * 1024;
/** No open model's context holds more arguments of calls, or tools: 4 and 2 MiB are above a million tokens. */
const maxArgumentLength = 4 * 1024 * 1024;
const maxToolBytes = 2 * 1024 * 1024;

/**
 * Bound of the tokens by which a server's chat template may show tools and arguments of calls longer than they were sent:
 * open models' templates write them as JSON of their own, indented and escaped. Beyond any amount of money if there are too
 * many of them to be read at once.
 */
export function templateTokens({ value, members }: JsonBody): number {
  const { start, end } = members.get('tools') ?? { start: 0, end: 0 };
  if (end - start > maxToolBytes) return Number.MAX_SAFE_INTEGER;
  let tokens = 0;
  for (const tool of asArray(value['tools'])) tokens += Math.max(0, shownBound(tool) - valueBound(tool).tokens);
  let length = 0;
  for (const text of argumentsIn(value)) {
    length += text.length;
    if (length > maxArgumentLength) return Number.MAX_SAFE_INTEGER;
    const shown = length > maxParsedLength ? shownTextBound(text) : shownBound(parseJson(text) ?? text);
    tokens += Math.max(0, shown - stringBound(text));
  }
  return tokens;
}

/** The arguments of earlier calls, as text: of chat, and of Responses. */
function* argumentsIn(value: JsonObject): IterableIterator<string> {
  for (const message of asArray(value['messages'])) {
    for (const call of asArray(asObject(message)?.['tool_calls'])) {
      const text = asObject(asObject(call)?.['function'])?.['arguments'];
      if (typeof text === 'string') yield text;
    }
  }
  for (const item of asArray(value['input'])) {
    const text = asObject(item)?.['arguments'];
    if (typeof text === 'string') yield text;
  }
}
