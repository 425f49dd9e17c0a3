/** An object of raw JSON. */
export type JsonRecord = Readonly<Record<string, unknown>>;

/** The value as an object; anything else is an empty one. */
export function record(value: unknown): JsonRecord {
  return isRecord(value) ? value : {};
}

/** The value as a list; anything else is an empty one. */
export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** True for an object that is neither null nor a list. */
export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A JSON Pointer (RFC 6901). */
export function pointer(...segments: readonly (string | number)[]): string {
  return segments.map((segment) => `/${String(segment).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

/** Pointers of every place where two values differ; null counts as absent, as in the API. Empty: equal. */
export function differences(actual: unknown, wanted: unknown, path: string): readonly string[] {
  if (Array.isArray(actual) && Array.isArray(wanted)) {
    return Array.from({ length: Math.max(actual.length, wanted.length) }).flatMap((_, index) =>
      differences(actual[index], wanted[index], path + pointer(index)),
    );
  }
  if (isRecord(actual) && isRecord(wanted)) {
    const fields = new Set([...Object.keys(wanted), ...Object.keys(actual)]);
    return [...fields].flatMap((field) => differences(own(actual, field), own(wanted, field), path + pointer(field)));
  }
  return (actual ?? null) === (wanted ?? null) ? [] : [path];
}

function own(object: JsonRecord, field: string): unknown {
  return Object.hasOwn(object, field) ? object[field] : undefined;
}
