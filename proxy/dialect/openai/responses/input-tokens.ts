import { readAnswer } from '../../answer.ts';
import { meterNothing } from '../../meter.ts';
import { spliceBody } from '../../splice.ts';
import type { Dialect } from '../../types.ts';
import { openaiResponses } from './responses.ts';

/** OpenAI's `POST /v1/responses/input_tokens`, which is not billed: developers.openai.com/api/docs/guides/token-counting. */
export const openaiInputTokens: Dialect = {
  ...openaiResponses,
  id: 'openai.input_tokens',
  billed: false,
  generates: false,
  rewrite: (body, { model }) => spliceBody(body, model === undefined ? [] : [{ path: ['model'], value: model }]),
  readUsage: (body) => readAnswer(body, () => null),
  meterStream: meterNothing,
};
