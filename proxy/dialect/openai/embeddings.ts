import { isRefusal, type Refusal } from '../../../core/errors.ts';
import { readAnswer } from '../answer.ts';
import { readModel, refuseLookalikes, refuseOtherModels } from '../fields.ts';
import type { JsonBody } from '../json.ts';
import { meterNothing } from '../meter-nothing.ts';
import { spliceBody } from '../splice.ts';
import { demandOf, startTally } from '../tally.ts';
import type { Changes, Dialect, Facts } from '../types.ts';
import { chatUsage } from './usage.ts';

const governing: ReadonlySet<string> = new Set(['model', 'input', 'models', 'route', 'preset']);

function read(body: JsonBody): Facts | Refusal {
  const barred = refuseLookalikes(body, governing) ?? refuseOtherModels(body.value, ['models', 'route', 'preset']);
  if (barred !== null) return barred;
  const model = readModel(body.value);
  if (isRefusal(model)) return model;
  return { model, stream: false, demand: demandOf(startTally(body.tokens)), wantsUsage: true };
}

function rewrite(body: JsonBody, changes: Changes): Buffer {
  return spliceBody(body, changes.model === undefined ? [] : [{ path: ['model'], value: changes.model }]);
}

/** OpenAI embeddings. Input as token numbers is bounded by its digits. */
export const openaiEmbeddings: Dialect = {
  id: 'openai.embeddings',
  family: 'openai',
  billed: true,
  generates: false,
  read,
  rewrite,
  readUsage: (body) => readAnswer(body, (answer) => chatUsage(answer['usage'])),
  meterStream: meterNothing,
};
