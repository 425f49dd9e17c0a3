import { type JsonObject, parseJson } from '../../core/json.ts';
import type { Usage } from '../../core/price/types.ts';
import { asObject } from './fields.ts';
import type { Reading } from './types.ts';

/** What some answers name beside their usage. */
export type AnswerNotes = Pick<Reading, 'answerId' | 'namedCostNano'>;

/** Reads a whole answer: its usage and notes by the given rules, its model, and an error that replaces the answer. */
export function readAnswer(
  body: Buffer,
  usageOf: (answer: JsonObject) => Usage | null,
  modelField = 'model',
  notesOf: (answer: JsonObject) => AnswerNotes = () => ({}),
): Reading {
  const answer = asObject(parseJson(body.toString('utf8')));
  if (answer === null) return { usage: null };
  const errorBody = asObject(answer['error']) === null ? undefined : JSON.stringify({ error: answer['error'] });
  return { ...reading(usageOf(answer), servedName(answer[modelField]), errorBody), ...notesOf(answer) };
}

/** A model's name; undefined if there is none (Azure sends an empty one first). */
export function servedName(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Makes a reading of these parts. */
export function reading(usage: Usage | null, servedModel: string | undefined, errorBody?: string): Reading {
  return { usage, ...(servedModel === undefined ? {} : { servedModel }), ...(errorBody === undefined ? {} : { errorBody }) };
}
