import { isObject } from '../../../core/json.ts';
import type { Counter } from '../types.ts';

/** Gemini’s counter takes the whole request, as an object of its own (ai.google.dev/api/tokens). Its figure covers text; media are not relied on. */
export const geminiCounter: Counter = {
  modalities: [],
  request: ({ value }, model) => ({ generateContentRequest: { ...value, model: `models/${model}` } }),
  read: (answer) => (isObject(answer) && typeof answer['totalTokens'] === 'number' ? answer['totalTokens'] : null),
};
