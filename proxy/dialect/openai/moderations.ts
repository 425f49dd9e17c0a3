import { isRefusal } from '../../../core/errors.ts';
import { readAnswer } from '../answer.ts';
import { type FieldRules, isGiven, readModel } from '../fields.ts';
import { meterNothing } from '../meter.ts';
import { spliceBody } from '../splice.ts';
import { demandOf, startTally } from '../tally.ts';
import type { Dialect } from '../types.ts';
import { openaiFamily, otherModels } from './family.ts';
import { sharedEdits } from './shared.ts';

const rules: FieldRules = { governing: new Set(['model', 'input', ...otherModels]), otherModels };

/** The model of a request that names none (openai 7.55, moderations.d.ts). */
const defaultModel = 'omni-moderation-latest';

/** OpenAI's moderation, which is free: developers.openai.com/api/docs/guides/moderation. */
export const openaiModerations: Dialect = {
  id: 'openai.moderations',
  family: openaiFamily,
  billed: false,
  generates: false,
  needsNoPrice: true,
  read(body) {
    const model = isGiven(body.value['model']) ? readModel(body, rules) : defaultModel;
    if (isRefusal(model)) return model;
    return { model, stream: false, demand: demandOf(startTally(body.tokens)), unjudged: [], wantsUsage: true };
  },
  rewrite: (body, changes) => spliceBody(body, sharedEdits(body.value, changes)),
  readUsage: (body) => readAnswer(body, () => null),
  meterStream: meterNothing,
};
