import { isObject } from '../../../core/json.ts';
import { spliceBody } from '../splice.ts';
import type { Counter } from '../types.ts';

/** Gemini’s counter takes the whole request, as an object of its own (ai.google.dev/api/tokens). Its figure covers text; media are not relied on. */
export const geminiCounter: Counter = {
  modalities: [],
  request(body, model) {
    const request = spliceBody(body, [{ path: ['model'], value: `models/${model}` }]);
    return Buffer.concat([Buffer.from('{"generateContentRequest":'), request, Buffer.from('}')]);
  },
  read: (answer) => (isObject(answer) && typeof answer['totalTokens'] === 'number' ? answer['totalTokens'] : null),
};
