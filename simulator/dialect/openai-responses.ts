import type { Answer, BadRequest, Frame, Json, Prompt, SimulatedDialect } from '../types.ts';
import { allText, contentText, count, isObject, objects } from './read.ts';

/** POST /v1/responses. */
export const openaiResponses: SimulatedDialect = {
  family: 'openai',
  parse,
  json: (answer) => response(answer, status(answer)),
  frames,
  errorFrame: () =>
    event('error', {
      sequence_number: 3,
      code: 'server_error',
      message: 'The server had an error while processing your request.',
      param: null,
    }),
};

function parse(body: Json): Prompt | BadRequest {
  const input = body['input'];
  if (typeof input !== 'string' && !Array.isArray(input)) return { badRequest: "Missing required parameter: 'input'.", param: 'input' };
  const items = objects(input);
  const lastUser = items.findLast((item) => item['role'] === 'user');
  return {
    model: String(body['model']),
    stream: body['stream'] === true,
    text: typeof input === 'string' ? input : contentText(lastUser?.['content']),
    everything: allText([body['instructions'], input, body['tools'], body['text']]),
    maxOutputTokens: count(body['max_output_tokens']),
    choices: 1,
    tools: objects(body['tools'])
      .filter((tool) => tool['type'] === 'function')
      .map((tool) => ({ name: String(tool['name']), schema: tool['parameters'] })),
    toolChoice: toolChoice(body['tool_choice']),
    afterTool: items.at(-1)?.['type'] === 'function_call_output',
    schema: schemaOf(body['text']),
    wantsUsage: true,
    cacheWrite: 'none',
  };
}

function toolChoice(value: unknown): Prompt['toolChoice'] {
  if (value === 'none' || value === 'required') return value;
  return isObject(value) && typeof value['name'] === 'string' ? { name: value['name'] } : 'auto';
}

function schemaOf(text: unknown): unknown {
  const format = isObject(text) ? text['format'] : undefined;
  if (!isObject(format) || format['type'] === 'text') return undefined;
  return format['type'] === 'json_schema' ? format['schema'] : true;
}

function status(answer: Answer): 'completed' | 'incomplete' {
  return answer.finish === 'length' ? 'incomplete' : 'completed';
}

function response(answer: Answer, state: 'in_progress' | 'completed' | 'incomplete'): Json {
  const done = state !== 'in_progress';
  return {
    id: `resp_${answer.id}`,
    object: 'response',
    created_at: answer.createdSeconds,
    status: state,
    background: false,
    error: null,
    incomplete_details: state === 'incomplete' ? { reason: 'max_output_tokens' } : null,
    instructions: null,
    max_output_tokens: null,
    model: answer.model,
    output: done ? output(answer) : [],
    parallel_tool_calls: true,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    service_tier: 'default',
    store: false,
    temperature: 1,
    text: { format: { type: 'text' } },
    tool_choice: 'auto',
    tools: [],
    top_p: 1,
    truncation: 'disabled',
    usage: done ? usage(answer) : null,
    user: null,
    metadata: {},
  };
}

function usage({ usage: used }: Answer): Json {
  return {
    input_tokens: used.input,
    input_tokens_details: { cached_tokens: used.cachedInput },
    output_tokens: used.output,
    output_tokens_details: { reasoning_tokens: used.reasoning },
    total_tokens: used.input + used.output,
  };
}

function output(answer: Answer): readonly Json[] {
  const reasoning = answer.usage.reasoning === 0 ? [] : [{ id: `rs_${answer.id}`, type: 'reasoning', summary: [] }];
  return [...reasoning, answer.toolCall === undefined ? message(answer) : functionCall(answer, answer.toolCall, 'completed')];
}

function message(answer: Answer): Json {
  return {
    id: `msg_${answer.id}`,
    type: 'message',
    status: status(answer),
    role: 'assistant',
    content: [textPart(answer.pieces.join(''))],
  };
}

function textPart(text: string): Json {
  return { type: 'output_text', annotations: [], logprobs: [], text };
}

function functionCall(answer: Answer, call: NonNullable<Answer['toolCall']>, state: 'in_progress' | 'completed'): Json {
  const text = state === 'completed' ? JSON.stringify(call.arguments) : '';
  return { id: `fc_${answer.id}`, type: 'function_call', status: state, arguments: text, call_id: `call_${answer.id}`, name: call.name };
}

function event(type: string, body: Json): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...body })}\n\n`;
}

function frames(answer: Answer): readonly Frame[] {
  let sequence = 0;
  const frame = (kind: Frame['kind'], type: string, body: Json): Frame => ({
    text: event(type, { sequence_number: sequence++, ...body }),
    kind,
  });
  return [
    frame('preamble', 'response.created', { response: response(answer, 'in_progress') }),
    frame('preamble', 'response.in_progress', { response: response(answer, 'in_progress') }),
    ...reasoningFrames(answer, frame),
    ...(answer.toolCall === undefined ? textFrames(answer, frame) : callFrames(answer, answer.toolCall, frame)),
    frame('usage', `response.${status(answer)}`, { response: response(answer, status(answer)) }),
  ];
}

type MakeFrame = (kind: Frame['kind'], type: string, body: Json) => Frame;

function reasoningFrames(answer: Answer, frame: MakeFrame): readonly Frame[] {
  if (answer.usage.reasoning === 0) return [];
  const item = { id: `rs_${answer.id}`, type: 'reasoning', summary: [] };
  return [
    frame('preamble', 'response.output_item.added', { output_index: 0, item }),
    frame('preamble', 'response.output_item.done', { output_index: 0, item }),
  ];
}

function textFrames(answer: Answer, frame: MakeFrame): readonly Frame[] {
  const place = { item_id: `msg_${answer.id}`, output_index: answer.usage.reasoning === 0 ? 0 : 1, content_index: 0 };
  const text = answer.pieces.join('');
  const item = { ...message(answer), status: 'in_progress', content: [] };
  return [
    frame('preamble', 'response.output_item.added', { output_index: place.output_index, item }),
    frame('preamble', 'response.content_part.added', { ...place, part: textPart('') }),
    ...answer.pieces.map((delta) => frame('token', 'response.output_text.delta', { ...place, delta, logprobs: [] })),
    frame('end', 'response.output_text.done', { ...place, text, logprobs: [] }),
    frame('end', 'response.content_part.done', { ...place, part: textPart(text) }),
    frame('end', 'response.output_item.done', { output_index: place.output_index, item: message(answer) }),
  ];
}

function callFrames(answer: Answer, call: NonNullable<Answer['toolCall']>, frame: MakeFrame): readonly Frame[] {
  const index = answer.usage.reasoning === 0 ? 0 : 1;
  const place = { item_id: `fc_${answer.id}`, output_index: index };
  const text = JSON.stringify(call.arguments);
  const half = Math.ceil(text.length / 2);
  return [
    frame('preamble', 'response.output_item.added', { output_index: index, item: functionCall(answer, call, 'in_progress') }),
    frame('token', 'response.function_call_arguments.delta', { ...place, delta: text.slice(0, half) }),
    frame('token', 'response.function_call_arguments.delta', { ...place, delta: text.slice(half) }),
    frame('end', 'response.function_call_arguments.done', { ...place, arguments: text }),
    frame('end', 'response.output_item.done', { output_index: index, item: functionCall(answer, call, 'completed') }),
  ];
}
