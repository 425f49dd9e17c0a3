import { isObject } from '../../../core/json.ts';
import { requestOf } from '../splice.ts';
import type { Counter } from '../types.ts';

/** The parameters of POST /v1/messages/count_tokens (platform.claude.com/docs/en/api/messages-count-tokens); others do not change the count, or are refused. */
const counted = new Map(
  ['messages', 'system', 'tools', 'tool_choice', 'thinking', 'output_config', 'output_format', 'cache_control', 'context_management'].map(
    (name) => [name, name],
  ),
);

/** Anthropic’s counter: pictures, PDFs and tools are included, server tools for the first sampling only. */
export const anthropicCounter: Counter = {
  modalities: ['image'],
  request: (body, model) => requestOf(model, body, counted),
  read: (answer) => (isObject(answer) && typeof answer['input_tokens'] === 'number' ? answer['input_tokens'] : null),
};
