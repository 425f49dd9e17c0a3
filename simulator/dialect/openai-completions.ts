import type { Answer, BadRequest, Frame, Json, Prompt, SimulatedDialect } from '../types.ts';
import { openaiChat } from './openai-chat.ts';
import { count } from './read.ts';

/** POST /v1/completions: chat's answer, told as text. */
export const openaiCompletions: SimulatedDialect = {
  ...openaiChat,
  parse,
  json: (answer) => ({
    ...openaiChat.json(answer),
    object: 'text_completion',
    choices: choices(answer, answer.pieces.join(''), answer.finish),
  }),
  frames,
};

/** Each prompt gets its own answers; 16 tokens if the request names no limit. */
function parse(body: Json): Prompt | BadRequest {
  const { prompt } = body;
  const prompts = typeof prompt === 'string' ? [prompt] : Array.isArray(prompt) ? prompt.map(String) : [];
  if (prompts.length === 0) return { badRequest: "Missing required parameter: 'prompt'.", param: 'prompt' };
  const chat = openaiChat.parse({ ...body, messages: [{ role: 'user', content: prompts.join('') }] }, {});
  if ('badRequest' in chat) return chat;
  const answers = Math.max(count(body['n']) ?? 1, count(body['best_of']) ?? 1);
  return { ...chat, everything: prompts.join(''), choices: prompts.length * answers, maxOutputTokens: count(body['max_tokens']) ?? 16 };
}

function choices(answer: Answer, text: string, finish: string | null): readonly Json[] {
  return Array.from({ length: answer.choices }, (_, index) => ({ index, text, logprobs: null, finish_reason: finish }));
}

function frames(answer: Answer, prompt: Prompt): readonly Frame[] {
  const { usage, choices: _, ...head } = openaiChat.json(answer);
  const frame = (value: Json, kind: Frame['kind']): Frame => ({
    text: `data: ${JSON.stringify({ ...head, object: 'text_completion', ...value })}\n\n`,
    kind,
  });
  return [
    ...answer.pieces.map((piece) => frame({ choices: choices(answer, piece, null) }, 'token')),
    frame({ choices: choices(answer, '', answer.finish) }, 'end'),
    ...(prompt.wantsUsage ? [frame({ choices: [], usage }, 'usage')] : []),
    { text: 'data: [DONE]\n\n', kind: 'end' },
  ];
}
