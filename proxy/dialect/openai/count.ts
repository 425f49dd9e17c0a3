import { isObject, type JsonObject } from '../../../core/json.ts';
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
  if (!isObject(message) || typeof message['content'] !== 'string' || !roles.has(String(message['role']))) return null;
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
