/** Bodies of providers, as short as their meters allow. */

export function chatAnswer(usage: object, more: object = {}): object {
  const choices = [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }];
  return { id: 'c', object: 'chat.completion', model: 'm', choices, usage, ...more };
}

export function responsesAnswer(usage: object, more: object = {}): object {
  const output = [{ type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'Hi' }] }];
  return { id: 'resp_1', object: 'response', status: 'completed', model: 'm', output, usage, ...more };
}

export function messagesAnswer(usage: object, more: object = {}): object {
  const content = [{ type: 'text', text: 'Hi' }];
  return { id: 'msg_1', type: 'message', role: 'assistant', model: 'm', content, stop_reason: 'end_turn', usage, ...more };
}

export function geminiAnswer(usageMetadata: object, more: object = {}): object {
  const candidates = [{ content: { role: 'model', parts: [{ text: 'Hi' }] }, finishReason: 'STOP', ...more }];
  return { candidates, modelVersion: 'm', usageMetadata };
}

/** Server-sent events without names. */
export function events(list: readonly object[], last = ''): string {
  return list.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('') + last;
}

export function chatStream(usage: object, more: object = {}): string {
  const chunk = { id: 'c', object: 'chat.completion.chunk', model: 'm' };
  return events(
    [
      { ...chunk, ...more, choices: [{ index: 0, delta: { role: 'assistant', content: 'Hi' }, finish_reason: null }] },
      { ...chunk, ...more, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] },
      { ...chunk, ...more, choices: [], usage },
    ],
    'data: [DONE]\n\n',
  );
}

export function responsesStream(usage: object, more: object = {}): string {
  const response = responsesAnswer(usage, more);
  const list = [
    { type: 'response.created', response: { id: 'resp_1', status: 'in_progress' } },
    { type: 'response.output_text.delta', delta: 'Hi' },
    { type: 'response.completed', response },
  ];
  return list.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('');
}

export function messagesStream(usage: { readonly [name: string]: unknown; readonly output_tokens: number }): string {
  const { output_tokens, ...input } = usage;
  const list = [
    { type: 'message_start', message: { ...messagesAnswer({ ...input, output_tokens: 1 }), content: [], stop_reason: null } },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hi' } },
    { type: 'content_block_stop', index: 0 },
    { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage },
    { type: 'message_stop' },
  ];
  return list.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('');
}

export const sse = 'text/event-stream';
