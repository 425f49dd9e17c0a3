/** A JSON object whose members are not yet checked. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Parses JSON text; returns undefined, which is no JSON value, if the text is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** True for an object in the sense of JSON and YAML: neither a list nor null. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The result of `defined`: a field that may be undefined becomes optional, the others do not change. */
type Defined<T extends object> = {
  [K in keyof T as undefined extends T[K] ? never : K]: T[K];
} & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

/** The fields that are not undefined: `{ key, ...defined({ expiresAt }) }`. */
export function defined<T extends object>(fields: T): Defined<T> {
  const given: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) given[name] = value;
  return given as Defined<T>;
}

/** A scalar as text. A list or an object is `{}`: the value of a caller may have members of its own that break its conversion. */
export function scalarText(value: unknown): string {
  return typeof value === 'object' && value !== null ? '{}' : String(value);
}
