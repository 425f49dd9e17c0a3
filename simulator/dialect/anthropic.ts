import type { Answer, BadRequest, Block, Frame, Json, Prompt, SimulatedDialect } from '../types.ts';
import { allText, contentText, count, isObject, objects } from './read.ts';

/** POST /v1/messages. */
export const anthropicMessages: SimulatedDialect = {
  family: 'anthropic',
  parse,
  json(answer) {
    return { ...envelope(answer), content: content(answer), stop_reason: stopReason(answer), usage: usage(answer) };
  },
  frames,
  errorFrame: () => event('error', { error: { type: 'overloaded_error', message: 'Overloaded' } }),
};

function parse(body: Json): Prompt | BadRequest {
  const messages = objects(body['messages']);
  if (messages.length === 0) return { badRequest: 'messages: at least one message is required', param: 'messages' };
  const limit = count(body['max_tokens']);
  if (limit === undefined) return { badRequest: 'max_tokens: Field required', param: 'max_tokens' };
  const prompt = parseCounted(body);
  const { thinkingBudget } = prompt;
  if (thinkingBudget !== undefined && thinkingBudget < 1024)
    return { badRequest: 'thinking.enabled.budget_tokens: Input should be greater than or equal to 1024' };
  if (thinkingBudget !== undefined && thinkingBudget >= limit) {
    const page = 'https://docs.claude.com/en/docs/build-with-claude/extended-thinking#max-tokens-and-context-window-size';
    return { badRequest: `\`max_tokens\` must be greater than \`thinking.budget_tokens\`. Please consult our documentation at ${page}` };
  }
  return { ...prompt, maxOutputTokens: limit };
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
    thinkingBudget: isObject(body['thinking']) ? count(body['thinking']['budget_tokens']) : undefined,
    choices: 1,
    tools: objects(body['tools'])
      .filter((tool) => 'input_schema' in tool)
      .map((tool) => ({ name: String(tool['name']), schema: tool['input_schema'] })),
    toolChoice: toolChoice(body['tool_choice']),
    afterTool: objects(messages.at(-1)?.['content']).some((part) => part['type'] === 'tool_result'),
    schema: schemaOf(body),
    wantsUsage: true,
    cacheWrite: cacheWrite(body),
    blocks: blocks(body),
  };
}

/** Tools, system and messages, in the order in which prefixes are cached; a breakpoint of the whole request is its last block. */
function blocks(body: Json): readonly Block[] {
  const { tools, system, messages } = body;
  const parts = [...objects(tools), ...partsOf(system), ...objects(messages).flatMap((each) => partsOf(each['content']))];
  return parts.map((part, index) => ({
    text: allText(part),
    breakpoint:
      isObject(isObject(part) ? part['cache_control'] : undefined) || (index === parts.length - 1 && isObject(body['cache_control'])),
  }));
}

function partsOf(content: unknown): readonly unknown[] {
  if (content === undefined) return [];
  return Array.isArray(content) ? content : [content];
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

/** What the model thought, summed up in a few words: it is billed for all of it. */
const thought = { type: 'thinking', thinking: 'Let me think.', signature: 'c2ltdWxhdGVk' };

function content(answer: Answer): readonly Json[] {
  return answer.thinks ? [thought, block(answer)] : [block(answer)];
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
  const index = answer.thinks ? 1 : 0;
  return [
    frame('preamble', 'message_start', { message: { ...envelope(answer), usage: { ...usage(answer), output_tokens: 1 } } }),
    ...(answer.thinks ? thoughtFrames(frame) : []),
    frame('preamble', 'content_block_start', { index, content_block: start }),
    frame('preamble', 'ping'),
    ...deltas(answer).map((delta) => frame('token', 'content_block_delta', { index, delta })),
    frame('end', 'content_block_stop', { index }),
    frame('usage', 'message_delta', { delta: { stop_reason: stopReason(answer), stop_sequence: null }, usage: totals }),
    frame('end', 'message_stop'),
  ];
}

function thoughtFrames(frame: (kind: Frame['kind'], type: string, body: Json) => Frame): readonly Frame[] {
  const { thinking, signature } = thought;
  return [
    frame('preamble', 'content_block_start', { index: 0, content_block: { type: 'thinking', thinking: '', signature: '' } }),
    frame('preamble', 'content_block_delta', { index: 0, delta: { type: 'thinking_delta', thinking } }),
    frame('preamble', 'content_block_delta', { index: 0, delta: { type: 'signature_delta', signature } }),
    frame('preamble', 'content_block_stop', { index: 0 }),
  ];
}

function deltas(answer: Answer): readonly Json[] {
  if (answer.toolCall === undefined) return answer.pieces.map((text) => ({ type: 'text_delta', text }));
  const text = JSON.stringify(answer.toolCall.arguments);
  const half = Math.ceil(text.length / 2);
  return ['', text.slice(0, half), text.slice(half)].map((part) => ({ type: 'input_json_delta', partial_json: part }));
}
