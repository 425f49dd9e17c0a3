import type { Usage } from '../../core/price/types.ts';
import { asObject, type JsonObject } from './fields.ts';
import type { Reading } from './types.ts';

/** Parses what a provider sent; undefined where it is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Reads a whole answer: usage by the given rule, the model where it names one, and an error that came in its place. */
export function readAnswer(body: Buffer, usageOf: (answer: JsonObject) => Usage | null, modelField = 'model'): Reading {
  const answer = asObject(parseJson(body.toString('utf8')));
  if (answer === null) return { usage: null };
  return reading(
    usageOf(answer),
    servedName(answer[modelField]),
    asObject(answer['error']) === null ? undefined : JSON.stringify({ error: answer['error'] }),
  );
}

/** A model's name; null where there is none (Azure sends an empty one first). */
export function servedName(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

/** A reading without its absent parts. */
export function reading(usage: Usage | null, servedModel: string | null, errorBody?: string): Reading {
  return { usage, ...(servedModel === null ? {} : { servedModel }), ...(errorBody === undefined ? {} : { errorBody }) };
}
