import { isRefusal, type Refusal } from '../../../core/errors.ts';
import { readAnswer } from '../answer.ts';
import { type FieldRules, readModel } from '../fields.ts';
import type { JsonBody } from '../json.ts';
import { meterNothing } from '../meter.ts';
import { spliceBody } from '../splice.ts';
import { demandOf, startTally } from '../tally.ts';
import type { Changes, Dialect, Facts } from '../types.ts';
import { openaiFamily, otherModels } from './family.ts';
import { chatUsage } from './usage.ts';

const rules: FieldRules = { governing: new Set(['model', 'input', ...otherModels]), otherModels };

function read(body: JsonBody): Facts | Refusal {
  const model = readModel(body, rules);
  if (isRefusal(model)) return model;
  return { model, stream: false, demand: demandOf(startTally(body.tokens)), unjudged: [], wantsUsage: true };
}

function rewrite(body: JsonBody, changes: Changes): Buffer {
  return spliceBody(body, changes.model === undefined ? [] : [{ path: ['model'], value: changes.model }]);
}

/** OpenAI embeddings. The digits of input as token numbers bound it. */
export const openaiEmbeddings: Dialect = {
  id: 'openai.embeddings',
  family: openaiFamily,
  billed: true,
  generates: false,
  read,
  rewrite,
  readUsage: (body) => readAnswer(body, (answer) => chatUsage(answer['usage'])),
  meterStream: meterNothing,
};
