import { isRefusal, type Refusal, refuse } from '../../core/errors.ts';
import { isObject, type JsonObject } from '../../core/json.ts';
import type { JsonBody } from './json.ts';

/** The value as an object; null if it is anything else. */
export function asObject(value: unknown): JsonObject | null {
  return isObject(value) ? value : null;
}

/** The elements of an array; an empty list if the value is not an array. */
export function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The value as a string; null if it is anything else. */
export function asString(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** False for absent and null, which every API treats alike. */
export function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

const maxTokens = 2 ** 31 - 1;
const maxModelLength = 256;

/** A caller's value for a message, at most so long: text as JSON, and of a list or object only its kind. */
export function named(value: unknown, maxLength: number): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, maxLength)).slice(0, maxLength);
  if (typeof value !== 'object' || value === null) return String(value);
  return Array.isArray(value) ? 'a list' : 'an object';
}

/** Refuses a field with a wrong value. */
export function badField(name: string, mustBe: string): Refusal {
  return refuse('invalid_request', `The field ${name} must be ${mustBe}.`);
}

/** Reads a positive integer; undefined if absent or null. */
export function readCount(object: JsonObject, name: string, max: number = maxTokens): number | undefined | Refusal {
  const value = object[name];
  if (!isGiven(value)) return undefined;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1) return badField(name, 'a positive integer');
  return value > max ? badField(name, `at most ${max}`) : value;
}

function isText(value: unknown): boolean {
  return typeof value === 'string';
}

function isListOf(isElement: (element: unknown) => boolean): (value: unknown) => boolean {
  return (value) => Array.isArray(value) && value.every(isElement);
}

/** What a field may be, in the words of the refusal. */
type Shape =
  | 'text'
  | 'true or false'
  | 'an object'
  | 'an array of objects'
  | 'an array of texts'
  | 'text or an object'
  | 'text or an array of objects';

const isShape: Readonly<Record<Shape, (value: unknown) => boolean>> = {
  text: isText,
  'true or false': (value) => typeof value === 'boolean',
  'an object': isObject,
  'an array of objects': isListOf(isObject),
  'an array of texts': isListOf(isText),
  'text or an object': (value) => isText(value) || isObject(value),
  'text or an array of objects': (value) => isText(value) || isListOf(isObject)(value),
};

/** What each field must be, if it is given. */
export type FieldShapes = Readonly<Record<string, Shape>>;

/** The same, to be looked up by names that a caller chose. */
export type Shapes = ReadonlyMap<string, Shape>;

export function shapesOf(fields: FieldShapes): Shapes {
  return new Map(Object.entries(fields));
}

/** Refuses a field of another type than the provider's schema says: lenient servers would read it all the same. */
export function refuseShapes(object: JsonObject, shapes: Shapes): Refusal | null {
  for (const name in object) {
    const shape = shapes.get(name);
    if (shape !== undefined && isGiven(object[name]) && !isShape[shape](object[name])) return badField(name, shape);
  }
  return null;
}

/** The first refusal that reading these gives; null: none. */
export function firstRefusal<T>(values: readonly T[], read: (value: T) => Refusal | null): Refusal | null {
  for (const value of values) {
    const refusal = read(value);
    if (refusal !== null) return refusal;
  }
  return null;
}

/** Reads `stream`; false if absent or null. */
function readStream(object: JsonObject): boolean | Refusal {
  const value = object['stream'];
  if (!isGiven(value)) return false;
  return typeof value === 'boolean' ? value : badField('stream', 'true or false');
}

/** The fields of a dialect that KeyForge and the provider must read alike. */
export interface FieldRules {
  /** The fields that policy, price or the meter use. */
  readonly governing: ReadonlySet<string>;
  /** The fields that could choose a model beside `model`, which policy does not see. */
  readonly otherModels: readonly string[];
}

/** Reads the one model of a body. Call this first: it refuses a body that provider and policy could read differently. */
export function readModel(body: JsonBody, { governing, otherModels }: FieldRules): string | Refusal {
  const refusal = refuseLookalikes(body, governing) ?? refuseOtherModels(body.value, otherModels);
  if (refusal !== null) return refusal;
  const value = body.value['model'];
  if (typeof value !== 'string' || value.length === 0 || !value.isWellFormed()) return badField('model', 'a model’s name');
  return value.length > maxModelLength ? badField('model', `at most ${maxModelLength} characters long`) : value;
}

/** Reads which model a body asks, and whether its answer streams. Call this first: see `readModel`. */
export function readTarget(body: JsonBody, rules: FieldRules): { readonly model: string; readonly stream: boolean } | Refusal {
  const model = readModel(body, rules);
  if (isRefusal(model)) return model;
  const stream = readStream(body.value);
  return isRefusal(stream) ? stream : { model, stream };
}

// Letters outside ASCII that equal ASCII letters for readers that ignore case (Unicode simple folding).
const foldedLetters = /[\u017f\u212a]/g;

function folded(key: string): string {
  return key.replace(foldedLetters, (letter) => (letter === '\u017f' ? 's' : 'k')).toLowerCase();
}

/**
 * Refuses a key that differs only by case from a governing field. Some servers (Go’s encoding/json) read
 * `Model` as `model`, so that policy and provider would see different values.
 */
function refuseLookalikes(body: JsonBody, governing: ReadonlySet<string>): Refusal | null {
  for (const key of body.members.keys()) {
    if (governing.has(key)) continue;
    const plain = folded(key);
    if (plain !== key && governing.has(plain))
      return refuse('invalid_request', `The field "${key.slice(0, 64)}" could be read as "${plain}"; write it exactly so.`);
  }
  return null;
}

function refuseOtherModels(object: JsonObject, names: readonly string[]): Refusal | null {
  for (const name of names) {
    if (isGiven(object[name])) {
      return refuse(
        'model_denied',
        `The field ${name} could choose another model than \`model\` names; leave it out and let \`model\` decide.`,
      );
    }
  }
  return null;
}
