import { type Refusal, refuse } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/json.ts';
import { asObject } from '../fields.ts';

const spellings = new Map<string, string>();

function snake(camel: string): string {
  let name = spellings.get(camel);
  if (name === undefined) {
    name = camel.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    spellings.set(camel, name);
  }
  return name;
}

/** Reads fields that Gemini accepts in camelCase and in snake_case. It remembers a field that is given in both. */
export interface GeminiFields {
  get(object: JsonObject | null, camel: string): unknown;
  /** Elements of a repeated field. As with Google, a single value counts as a list of one. */
  list(object: JsonObject | null, camel: string): readonly unknown[];
  /** Refuses the first field that was given in both spellings; null if there was none. */
  problem(): Refusal | null;
}

/** Makes a reader for one request. */
export function readGeminiFields(): GeminiFields {
  let twice: string | null = null;
  const get = (object: JsonObject | null, camel: string): unknown => {
    if (object === null) return undefined;
    const name = snake(camel);
    if (name === camel) return object[camel];
    if (object[camel] !== undefined && object[name] !== undefined) twice ??= camel;
    return object[camel] ?? object[name];
  };
  return {
    get,
    list(object, camel) {
      const value = get(object, camel);
      if (Array.isArray(value)) return value;
      return asObject(value) === null ? [] : [value];
    },
    problem: () =>
      twice === null ? null : refuse('invalid_request', `The field ${twice} is given twice, also as ${snake(twice)}; give it once.`),
  };
}

/** The spelling in which an object has this field; camelCase if it has neither. */
export function spellingIn(object: JsonObject | null, camel: string): string {
  const name = snake(camel);
  return object !== null && object[camel] === undefined && object[name] !== undefined ? name : camel;
}
