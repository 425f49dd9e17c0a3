import { type JsonObject, parseJson } from '../../core/json.ts';
import type { Usage } from '../../core/price/types.ts';
import { asObject } from './fields.ts';
import type { Reading } from './types.ts';

/** Reads a whole answer: its usage by the given rule, its model, and an error that replaces the answer. */
export function readAnswer(body: Buffer, usageOf: (answer: JsonObject) => Usage | null, modelField = 'model'): Reading {
  const answer = asObject(parseJson(body.toString('utf8')));
  if (answer === null) return { usage: null };
  return reading(
    usageOf(answer),
    servedName(answer[modelField]),
    asObject(answer['error']) === null ? undefined : JSON.stringify({ error: answer['error'] }),
  );
}

/** A model's name; undefined if there is none (Azure sends an empty one first). */
export function servedName(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Makes a reading of these parts. */
export function reading(usage: Usage | null, servedModel: string | undefined, errorBody?: string): Reading {
  return { usage, ...(servedModel === undefined ? {} : { servedModel }), ...(errorBody === undefined ? {} : { errorBody }) };
}
