import { isRefusal, type Refusal } from '../../../core/errors.ts';
import { isObject } from '../../../core/json.ts';
import { readAnswer } from '../answer.ts';
import { badField, type FieldRules, firstRefusal, isGiven, readModel, refuseShapes, type Shapes, shapesOf } from '../fields.ts';
import type { JsonBody } from '../json.ts';
import { meterNothing } from '../meter.ts';
import { spliceBody } from '../splice.ts';
import { demandOf, startTally, type Tally } from '../tally.ts';
import type { Changes, Dialect, Facts } from '../types.ts';
import { namedCost } from '../usage.ts';
import { openaiFamily, otherModels } from './family.ts';
import { freeInEmbeddings, judgeFields } from './judged.ts';
import { countContent, countUnknown } from './parts.ts';
import { sharedEdits } from './shared.ts';
import { chatUsage } from './usage.ts';

const shapes: Shapes = shapesOf({ provider: 'an object' });
const rules: FieldRules = { governing: new Set(['model', 'input', ...otherModels, ...shapes.keys()]), otherModels };

function read(body: JsonBody): Facts | Refusal {
  const { value } = body;
  const model = readModel(body, rules);
  if (isRefusal(model)) return model;
  const tally = startTally(body.tokens);
  const refusal = refuseShapes(value, shapes) ?? countInput(tally, value['input']);
  if (refusal !== null) return refusal;
  const unjudged = judgeFields(tally, value, { governing: rules.governing, free: freeInEmbeddings });
  return { model, stream: false, demand: demandOf(tally), unjudged, wantsUsage: true };
}

const wanted = 'text, token numbers, or an array of these';

/** Counts the input. The digits of token numbers bound them; OpenRouter and SGLang take content with media, too. */
function countInput(tally: Tally, input: unknown): Refusal | null {
  if (!isGiven(input) || typeof input === 'string') return null;
  if (!Array.isArray(input)) return badField('input', wanted);
  return firstRefusal(input, (element) => {
    if (typeof element === 'string' || typeof element === 'number') return null;
    if (Array.isArray(element)) return element.every((token) => typeof token === 'number') ? null : badField('input', wanted);
    if (!isObject(element)) return badField('input', wanted);
    if (Array.isArray(element['content'])) return countContent(tally, element['content'], 'input');
    countUnknown(tally);
    return null;
  });
}

function rewrite(body: JsonBody, changes: Changes): Buffer {
  return spliceBody(body, sharedEdits(body.value, changes));
}

/** OpenAI embeddings. */
export const openaiEmbeddings: Dialect = {
  id: 'openai.embeddings',
  family: openaiFamily,
  billed: true,
  generates: false,
  read,
  rewrite,
  readUsage: (body) =>
    readAnswer(
      body,
      (answer) => chatUsage(answer['usage'], undefined),
      'model',
      (answer) => namedCost(answer['usage']),
    ),
  meterStream: meterNothing,
};
