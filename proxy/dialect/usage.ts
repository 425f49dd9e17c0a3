import type { JsonObject } from '../../core/json.ts';
import type { Usage } from '../../core/price/types.ts';
import type { AnswerNotes } from './answer.ts';
import { asObject } from './fields.ts';

/** A token count; 0 if absent, null or not a number. */
export function tokens(object: JsonObject | null, name: string): number {
  const value = object?.[name];
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? Math.ceil(value) : 0;
}

type Parts = {
  readonly [K in Exclude<keyof Usage, 'input' | 'cachedInput' | 'cacheWrite' | 'output' | 'reasoning'>]?: Usage[K] | undefined;
};

/** Adds figures that are parts of a class; omits those that are 0. */
export function withParts(usage: Usage, parts: Parts): Usage {
  const given: Record<string, unknown> = { ...usage };
  for (const name in parts) {
    const value = parts[name as keyof typeof parts];
    if (typeof value === 'object' || (value !== undefined && value > 0)) given[name] = value;
  }
  return given as unknown as Usage;
}

/** OpenRouter's own figure in USD, with what its upstream billed to a key of the account's: openrouter.ai/docs/use-cases/usage-accounting. */
export function namedCost(value: unknown): AnswerNotes {
  const usage = asObject(value);
  const cost = usage?.['cost'];
  if (usage === null || typeof cost !== 'number' || !(cost >= 0)) return {};
  const upstream = usage['is_byok'] === true ? asObject(usage['cost_details'])?.['upstream_inference_cost'] : 0;
  const usd = cost + (typeof upstream === 'number' && upstream > 0 ? upstream : 0);
  return usd < maxUsd ? { namedCostNano: Math.ceil(Number((usd * nanoPerUsd).toPrecision(15))) } : {};
}

const nanoPerUsd = 1_000_000_000;
/** Nobody pays this for a call, and above it nano-USD are no safe integers. */
const maxUsd = 1_000_000;
