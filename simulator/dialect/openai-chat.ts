import type { Answer, BadRequest, Frame, Json, Prompt, SimulatedDialect } from '../types.ts';
import { allText, contentText, count, isObject, objects } from './read.ts';

/** POST /v1/chat/completions. */
export const openaiChat: SimulatedDialect = {
  family: 'openai',
  parse,
  json(answer) {
    return {
      ...envelope(answer, 'chat.completion'),
      choices: Array.from({ length: answer.choices }, (_, index) => ({
        index,
        message: message(answer),
        logprobs: null,
        finish_reason: finishReason(answer),
      })),
      usage: usage(answer),
    };
  },
  frames,
  errorFrame: () =>
    data({ error: { message: 'The server had an error while processing your request.', type: 'server_error', param: null, code: null } }),
};

function parse(body: Json): Prompt | BadRequest {
  const messages = objects(body['messages']);
  if (messages.length === 0) return { badRequest: "Missing required parameter: 'messages'.", param: 'messages' };
  const lastUser = messages.findLast((each) => each['role'] === 'user');
  const limit = count(body['max_completion_tokens']) ?? count(body['max_tokens']);
  return {
    model: String(body['model']),
    stream: body['stream'] === true,
    text: contentText(lastUser?.['content']),
    everything: allText([body['messages'], body['tools'], body['functions'], body['response_format']]),
    maxOutputTokens: limit,
    choices: count(body['n']) ?? 1,
    tools: objects(body['tools'])
      .map((tool) => tool['function'])
      .filter(isObject)
      .map((tool) => ({ name: String(tool['name']), schema: tool['parameters'] })),
    toolChoice: toolChoice(body['tool_choice']),
    afterTool: messages.at(-1)?.['role'] === 'tool',
    schema: schemaOf(body['response_format']),
    wantsUsage: isObject(body['stream_options']) && body['stream_options']['include_usage'] === true,
    cacheWrite: 'none',
  };
}

function toolChoice(value: unknown): Prompt['toolChoice'] {
  if (value === 'none' || value === 'required') return value;
  const named = isObject(value) && isObject(value['function']) ? value['function']['name'] : undefined;
  return typeof named === 'string' ? { name: named } : 'auto';
}

function schemaOf(format: unknown): unknown {
  if (!isObject(format)) return undefined;
  if (format['type'] === 'json_object') return true;
  return isObject(format['json_schema']) ? format['json_schema']['schema'] : undefined;
}

function envelope(answer: Answer, object: string): Json {
  return {
    id: `chatcmpl-${answer.id}`,
    object,
    created: answer.createdSeconds,
    model: answer.model,
    service_tier: 'default',
    system_fingerprint: 'fp_simulated',
  };
}

function message(answer: Answer): Json {
  const base = {
    role: 'assistant',
    content: answer.toolCall === undefined ? answer.pieces.join('') : null,
    refusal: null,
    annotations: [],
  };
  return answer.toolCall === undefined ? base : { ...base, tool_calls: [toolCall(answer, answer.toolCall)] };
}

function toolCall(answer: Answer, call: NonNullable<Answer['toolCall']>): Json {
  return { id: `call_${answer.id}`, type: 'function', function: { name: call.name, arguments: JSON.stringify(call.arguments) } };
}

function finishReason(answer: Answer): string {
  return answer.finish === 'tool' ? 'tool_calls' : answer.finish;
}

function usage({ usage: used }: Answer): Json {
  return {
    prompt_tokens: used.input,
    completion_tokens: used.output,
    total_tokens: used.input + used.output,
    prompt_tokens_details: { cached_tokens: used.cachedInput, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: used.reasoning,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}

function data(value: Json): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}

function frames(answer: Answer, prompt: Prompt): readonly Frame[] {
  const head = envelope(answer, 'chat.completion.chunk');
  const tail = prompt.wantsUsage ? { usage: null } : {};
  const choice = (index: number, delta: Json, finish: string | null, kind: Frame['kind']): Frame => ({
    text: data({ ...head, choices: [{ index, delta, logprobs: null, finish_reason: finish }], ...tail }),
    kind,
  });
  const indexes = Array.from({ length: answer.choices }, (_, index) => index);
  return [
    ...indexes.map((index) =>
      choice(index, { role: 'assistant', content: answer.toolCall === undefined ? '' : null, refusal: null }, null, 'preamble'),
    ),
    ...deltas(answer).flatMap((delta) => indexes.map((index) => choice(index, delta, null, 'token'))),
    ...indexes.map((index) => choice(index, {}, finishReason(answer), 'end')),
    ...(prompt.wantsUsage ? [{ text: data({ ...head, choices: [], usage: usage(answer) }), kind: 'usage' } as const] : []),
    { text: 'data: [DONE]\n\n', kind: 'end' },
  ];
}

function deltas(answer: Answer): readonly Json[] {
  if (answer.toolCall === undefined) return answer.pieces.map((content) => ({ content }));
  const whole = toolCall(answer, answer.toolCall);
  const text = JSON.stringify(answer.toolCall.arguments);
  const half = Math.ceil(text.length / 2);
  const part = (piece: string): Json => ({ tool_calls: [{ index: 0, function: { arguments: piece } }] });
  return [
    { tool_calls: [{ index: 0, ...whole, function: { name: answer.toolCall.name, arguments: '' } }] },
    part(text.slice(0, half)),
    part(text.slice(half)),
  ];
}
