import { type Refusal, refuse } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/json.ts';
import { asObject, badField, isGiven } from '../fields.ts';

const spellings = new Map<string, string>();

function snake(camel: string): string {
  let name = spellings.get(camel);
  if (name === undefined) {
    name = camel.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    spellings.set(camel, name);
  }
  return name;
}

/** The camelCase spelling of a field’s name. */
export function camelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/**
 * Reads fields that Gemini accepts in camelCase and in snake_case. It remembers the first problem: a field in both spellings, or of
 * a type that the API does not take.
 */
export interface GeminiFields {
  get(object: JsonObject | null, camel: string): unknown;
  /** Null if absent. */
  object(object: JsonObject | null, camel: string): JsonObject | null;
  /** Elements of a repeated field of objects. As with Google, a single value counts as a list of one. */
  list(object: JsonObject | null, camel: string): readonly JsonObject[];
  problem(): Refusal | null;
}

/** Makes a reader for one request. */
export function readGeminiFields(): GeminiFields {
  let problem: Refusal | null = null;
  const get = (object: JsonObject | null, camel: string): unknown => {
    if (object === null) return undefined;
    const name = snake(camel);
    if (name === camel) return object[camel];
    if (object[camel] !== undefined && object[name] !== undefined)
      problem ??= refuse('invalid_request', `The field ${camel} is given twice, also as ${name}; give it once.`);
    return object[camel] ?? object[name];
  };
  return {
    get,
    object(object, camel) {
      const value = get(object, camel);
      if (isGiven(value) && asObject(value) === null) problem ??= badField(camel, 'an object');
      return asObject(value);
    },
    list(object, camel) {
      const value = get(object, camel);
      if (!isGiven(value)) return [];
      const elements = (Array.isArray(value) ? value : [value]).map(asObject);
      const found = elements.filter((element) => element !== null);
      if (found.length < elements.length) problem ??= badField(camel, 'an array of objects');
      return found;
    },
    problem: () => problem,
  };
}

/** The spelling in which an object has this field; camelCase if it has neither. */
export function spellingIn(object: JsonObject | null, camel: string): string {
  const name = snake(camel);
  return object !== null && object[camel] === undefined && object[name] !== undefined ? name : camel;
}
