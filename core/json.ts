/** An object of JSON whose members nobody has looked at yet. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Parses JSON text; undefined where it is none, which no JSON text stands for. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** True for an object as JSON or YAML gives it: no list, no null, no instance of a class. */
export function isObject(value: unknown): value is JsonObject {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** What `defined` gives: a field that may be undefined becomes optional, the others stay as they are. */
export type Defined<T extends object> = {
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
