import { isRefusal, type Refusal } from '../../../core/errors.ts';
import { type JsonObject, scalarText } from '../../../core/json.ts';
import type { Effort, Thinking } from '../../../core/price/output-limit.ts';
import { badField, isGiven } from '../fields.ts';
import type { GeminiFields } from './fields.ts';

/** The least budget that is not 0 (ai.google.dev/gemini-api/docs/thinking). Under another name, the model may be any of them. */
const leastBudgets: readonly (readonly [models: RegExp, tokens: number])[] = [
  [/^gemini-2\.5-pro/, 128],
  [/^gemini-2\.5-flash(?!-lite)/, 1],
  [/^/, 512],
];

const efforts = new Map<unknown, Effort>([
  ['MINIMAL', 'minimal'],
  ['LOW', 'low'],
  ['MEDIUM', 'medium'],
  ['HIGH', 'high'],
]);

/** Reads how much the model may think: a budget, where 0 is off and -1 leaves it to the model, or a level. */
export function readThinking(config: JsonObject | null, model: string, fields: GeminiFields): Thinking | undefined | Refusal {
  const thinking = fields.object(config, 'thinkingConfig');
  const budget = readBudget(fields.get(thinking, 'thinkingBudget'));
  if (isRefusal(budget)) return budget;
  if (budget === 0) return { kind: 'off' };
  if (budget !== undefined && budget > 0) {
    return { kind: 'budget', tokens: budget, leastTokens: leastBudgets.find(([models]) => models.test(model))?.[1] ?? budget };
  }
  const effort = efforts.get(scalarText(fields.get(thinking, 'thinkingLevel') ?? '').toUpperCase());
  return effort === undefined ? undefined : { kind: 'effort', effort };
}

function readBudget(value: unknown): number | undefined | Refusal {
  if (!isGiven(value)) return undefined;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < -1) return badField('thinkingBudget', 'an integer of at least -1');
  return value;
}
