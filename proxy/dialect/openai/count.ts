import { isObject, type JsonObject, parseJson } from '../../../core/json.ts';
import { shownBound } from '../../../core/price/shown.ts';
import { stringBound, valueBound } from '../../../core/price/text.ts';
import { asArray, asObject } from '../fields.ts';
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
  if (!isObject(message) || typeof message['content'] !== 'string' || !roles.has(String(message['role']))) return false;
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

/**
 * Bound of the tokens by which a server's chat template may show tools and arguments of calls longer than they were sent:
 * open models' templates write them as JSON of their own, indented and escaped.
 */
export function templateTokens(value: JsonObject): number {
  const tools = asArray(value['tools']).reduce<number>((sum, tool) => sum + Math.max(0, shownBound(tool) - valueBound(tool).tokens), 0);
  const calls = asArray(value['messages']).flatMap((message) =>
    asArray(asObject(message)?.['tool_calls']).map((call) => asObject(call)?.['function']),
  );
  return [...calls, ...asArray(value['input'])].reduce<number>((sum, call) => sum + argumentTokens(call), tools);
}

function argumentTokens(call: unknown): number {
  const text = isObject(call) ? call['arguments'] : undefined;
  if (typeof text !== 'string') return 0;
  return Math.max(0, shownBound(parseJson(text) ?? text) - stringBound(text));
}
