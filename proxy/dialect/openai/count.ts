import { isObject, type JsonObject, parseJson, scalarText } from '../../../core/json.ts';
import { shownBound } from '../../../core/price/shown.ts';
import { stringBound, valueBound } from '../../../core/price/text.ts';
import { asArray, asObject } from '../fields.ts';
import type { Counter } from '../types.ts';

/** The parameters of POST /v1/responses/input_tokens (developers.openai.com/api/docs/guides/token-counting). */
const counted = ['input', 'instructions', 'tools', 'tool_choice', 'parallel_tool_calls', 'reasoning', 'text', 'truncation', 'personality'];

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
  request({ value }, model) {
    if (hasAny(value, untold)) return null;
    return Object.fromEntries([['model', model], ...Object.entries(value).filter(([name]) => counted.includes(name))]);
  },
  read,
};

const roles = new Set(['system', 'developer', 'user', 'assistant']);

/** A message whose Responses form holds exactly the same text; null: there is none. */
function exactItem(message: unknown): JsonObject | null {
  if (!isObject(message) || typeof message['content'] !== 'string' || !roles.has(scalarText(message['role']))) return null;
  const others = Object.keys(message).filter((name) => name !== 'role' && name !== 'content');
  return others.length === 0 ? { role: message['role'], content: message['content'] } : null;
}

/** Fields of a chat request whose text reaches the model beside the messages. */
const told = [...['tools', 'tool_choice', 'functions', 'function_call', 'response_format', 'web_search_options', 'prediction'], ...untold];

/** The same counter for chat: only for plain messages, which have an exact form in Responses. */
export const chatCounter: Counter = {
  modalities: [],
  request({ value }, model) {
    if (hasAny(value, told) || !Array.isArray(value['messages'])) return null;
    const input = value['messages'].map(exactItem);
    return input.includes(null) ? null : { model, input };
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
