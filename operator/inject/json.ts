import { isObject, type JsonObject } from '../../core/json.ts';

/** The value as an object; an empty one if it is anything else. */
export function record(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}

/** The value as a list; an empty one if it is anything else. */
export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** False for undefined and null, which the API also treats as absent. */
export function isSet(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** A JSON Pointer (RFC 6901). */
export function pointer(...segments: readonly (string | number)[]): string {
  return segments.map((segment) => `/${String(segment).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

/** Pointers to every difference of two values. Null counts as absent, as in the API. Empty: equal. */
export function differences(actual: unknown, wanted: unknown, path: string): readonly string[] {
  if (Array.isArray(actual) && Array.isArray(wanted)) {
    return Array.from({ length: Math.max(actual.length, wanted.length) }).flatMap((_, index) =>
      differences(actual[index], wanted[index], path + pointer(index)),
    );
  }
  if (isObject(actual) && isObject(wanted)) {
    const fields = new Set([...Object.keys(wanted), ...Object.keys(actual)]);
    return [...fields].flatMap((field) => differences(own(actual, field), own(wanted, field), path + pointer(field)));
  }
  return (actual ?? null) === (wanted ?? null) ? [] : [path];
}

function own(object: JsonObject, field: string): unknown {
  return Object.hasOwn(object, field) ? object[field] : undefined;
}
