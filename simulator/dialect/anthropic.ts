import type { Answer, BadRequest, Frame, Json, Prompt, SimulatedDialect } from '../types.ts';
import { allText, contentText, count, isObject, objects } from './read.ts';

/** POST /v1/messages. */
export const anthropicMessages: SimulatedDialect = {
  family: 'anthropic',
  parse,
  json(answer) {
    return { ...envelope(answer), content: [block(answer)], stop_reason: stopReason(answer), usage: usage(answer) };
  },
  frames,
  errorFrame: () => event('error', { error: { type: 'overloaded_error', message: 'Overloaded' } }),
};

function parse(body: Json): Prompt | BadRequest {
  const messages = objects(body['messages']);
  if (messages.length === 0) return { badRequest: 'messages: at least one message is required', param: 'messages' };
  const limit = count(body['max_tokens']);
  if (limit === undefined) return { badRequest: 'max_tokens: Field required', param: 'max_tokens' };
  return { ...parseCounted(body), maxOutputTokens: limit };
}

/** The part that count_tokens has too: everything but the output limit. */
export function parseCounted(body: Json): Prompt {
  const messages = objects(body['messages']);
  const lastUser = messages.findLast((each) => each['role'] === 'user');
  return {
    model: String(body['model']),
    stream: body['stream'] === true,
    text: contentText(lastUser?.['content']),
    everything: allText([body['system'], body['messages'], body['tools'], body['output_config']]),
    choices: 1,
    tools: objects(body['tools'])
      .filter((tool) => 'input_schema' in tool)
      .map((tool) => ({ name: String(tool['name']), schema: tool['input_schema'] })),
    toolChoice: toolChoice(body['tool_choice']),
    afterTool: objects(messages.at(-1)?.['content']).some((part) => part['type'] === 'tool_result'),
    schema: schemaOf(body),
    wantsUsage: true,
    cacheWrite: cacheWrite(body),
  };
}

function toolChoice(value: unknown): Prompt['toolChoice'] {
  if (!isObject(value)) return 'auto';
  if (value['type'] === 'none') return 'none';
  if (value['type'] === 'any') return 'required';
  return value['type'] === 'tool' ? { name: String(value['name']) } : 'auto';
}

function schemaOf(body: Json): unknown {
  const config = body['output_config'];
  const format = isObject(config) ? config['format'] : body['output_format'];
  return isObject(format) ? format['schema'] : undefined;
}

function cacheWrite(body: Json): Prompt['cacheWrite'] {
  const text = JSON.stringify(body);
  if (!text.includes('"cache_control":{')) return 'none';
  return text.includes('"ttl":"1h"') ? '1h' : '5m';
}

function stopReason(answer: Answer): string {
  return { stop: 'end_turn', length: 'max_tokens', tool: 'tool_use' }[answer.finish];
}

function envelope(answer: Answer): Json {
  return {
    id: `msg_${answer.id}`,
    type: 'message',
    role: 'assistant',
    model: answer.model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
  };
}

function block(answer: Answer): Json {
  return answer.toolCall === undefined
    ? { type: 'text', text: answer.pieces.join('') }
    : { type: 'tool_use', id: `toolu_${answer.id}`, name: answer.toolCall.name, input: answer.toolCall.arguments };
}

function usage({ usage: used }: Answer): Json {
  return {
    input_tokens: used.input - used.cachedInput - used.cacheWrite,
    cache_creation_input_tokens: used.cacheWrite,
    cache_read_input_tokens: used.cachedInput,
    cache_creation: {
      ephemeral_5m_input_tokens: used.cacheWrite - used.cacheWrite1h,
      ephemeral_1h_input_tokens: used.cacheWrite1h,
    },
    output_tokens: used.output,
    service_tier: 'standard',
  };
}

function event(type: string, body: Json): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...body })}\n\n`;
}

function frames(answer: Answer): readonly Frame[] {
  const frame = (kind: Frame['kind'], type: string, body: Json = {}): Frame => ({ kind, text: event(type, body) });
  const start = answer.toolCall === undefined ? { type: 'text', text: '' } : { ...block(answer), input: {} };
  const { cache_creation: _, service_tier: __, ...totals } = usage(answer);
  return [
    frame('preamble', 'message_start', { message: { ...envelope(answer), usage: { ...usage(answer), output_tokens: 1 } } }),
    frame('preamble', 'content_block_start', { index: 0, content_block: start }),
    frame('preamble', 'ping'),
    ...deltas(answer).map((delta) => frame('token', 'content_block_delta', { index: 0, delta })),
    frame('end', 'content_block_stop', { index: 0 }),
    frame('usage', 'message_delta', { delta: { stop_reason: stopReason(answer), stop_sequence: null }, usage: totals }),
    frame('end', 'message_stop'),
  ];
}

function deltas(answer: Answer): readonly Json[] {
  if (answer.toolCall === undefined) return answer.pieces.map((text) => ({ type: 'text_delta', text }));
  const text = JSON.stringify(answer.toolCall.arguments);
  const half = Math.ceil(text.length / 2);
  return ['', text.slice(0, half), text.slice(half)].map((part) => ({ type: 'input_json_delta', partial_json: part }));
}
