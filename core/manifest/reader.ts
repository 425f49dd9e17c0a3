import { isObject, type JsonObject } from '../json.ts';
import { nearest } from './nearest.ts';

/** Steps from a document's root to a value. */
export type Path = readonly (string | number)[];

/** Where in a document a value is, and where its problems go. */
export interface Place {
  readonly path: Path;
  /** The field as messages name it: `usd`, `limits[0]`. */
  readonly label: string;
  at(step: string | number): Place;
  /** Records a problem; returns undefined so that a reader can return it. */
  report(message: string): undefined;
}

/** Reads one value; undefined always and only means that a problem was reported. */
export type Read<T> = (value: unknown, at: Place) => T | undefined;

type Shape = Readonly<Record<string, Read<unknown>>>;
type Value<R> = R extends Read<infer T> ? T : never;

/** The result of `object`. */
type Fields<R extends Shape, O extends Shape> = { readonly [K in keyof R]: Value<R[K]> } & {
  readonly [K in keyof O]?: Value<O[K]>;
};

/** One problem of a document. */
export interface Finding {
  readonly path: Path;
  readonly message: string;
}

/** Reads a whole document: returns its value, or its problems and no value. Messages call its root `label`. */
export function readWhole<T>(
  read: Read<T>,
  value: unknown,
  label = 'the document',
): { readonly value?: T; readonly findings: readonly Finding[] } {
  const findings: Finding[] = [];
  const good = read(
    value,
    rootPlace((path, message) => findings.push({ path, message }), label),
  );
  return good === undefined || findings.length > 0 ? { findings } : { value: good, findings };
}

/** The place of a document's root. */
export function rootPlace(report: (path: Path, message: string) => void, label = 'the document'): Place {
  return placeAt([], report, label);
}

function placeAt(path: Path, report: (path: Path, message: string) => void, root: string): Place {
  return {
    path,
    label: labelOf(path) ?? root,
    at: (step) => placeAt([...path, step], report, root),
    report(message) {
      report(path, message);
      return undefined;
    },
  };
}

function labelOf(path: Path): string | null {
  const start = path.findLastIndex((step) => typeof step === 'string');
  return start < 0 ? null : formatPath(path.slice(start));
}

/** `spec.limits[0].usd`; names that are not plain words are quoted in brackets. */
export function formatPath(path: Path): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (!/^[\w-]+$/.test(step)) text += `[${quote(step)}]`;
    else text += text === '' ? step : `.${step}`;
  }
  return text;
}

/** A person's own text in a message: escaped and cut short. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text);
}

/** True for a plain mapping. A YAML tag can make a Set, Map, Date or Buffer, which would look like a mapping without fields. */
function isMapping(value: unknown): value is JsonObject {
  if (!isObject(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

// An empty field does not count as absent: a person who wrote `limits:` meant to limit something.
function readPresent<T>(read: Read<T>, value: unknown, at: Place): T | undefined {
  if (value === null) return at.report(`${at.label} is empty; give it a value or remove it`);
  return read(value, at);
}

/** A field that is allowed and not read. */
export function ignored(): undefined {
  return undefined;
}

function reportUnknown(name: string, allowed: readonly string[], at: Place): undefined {
  // YAML reads `{key:value}` as one name, and the value may be a credential: the message repeats neither.
  if (name.includes(':')) return at.report(`${at.label} has a field without a space after its colon; write "name: value"`);
  const near = nearest(name, allowed);
  const advice = near === null ? `allowed: ${allowed.join(', ')}` : `did you mean "${near}"?`;
  return at.at(name).report(`unknown field ${quote(name)}; ${advice}`);
}

/** A mapping of known fields; every unknown one is a problem that names the nearest. */
export function object<R extends Shape, O extends Shape>(required: R, optional: O): Read<Fields<R, O>> {
  const shape: Shape = { ...required, ...optional };
  const allowed = Object.keys(shape).filter((name) => shape[name] !== ignored);
  return (value, at) => {
    if (!isMapping(value)) return at.report(`${at.label} must be a mapping with the fields ${allowed.join(', ')}`);
    const missing = Object.keys(required).filter((name) => !Object.hasOwn(value, name));
    const read: Record<string, unknown> = {};
    let isWhole = missing.length === 0;
    for (const [name, item] of Object.entries(value)) {
      const reader = Object.hasOwn(shape, name) ? shape[name] : undefined;
      if (reader === ignored) continue;
      const good = reader === undefined ? reportUnknown(name, allowed, at) : readPresent(reader, item, at.at(name));
      if (good === undefined) isWhole = false;
      else read[name] = good;
    }
    for (const name of missing) at.at(name).report(`${name} is required`);
    return isWhole ? (read as Fields<R, O>) : undefined;
  };
}

/** A sequence, in order. */
export function list<T>(item: Read<T>, maxItems: number = Number.POSITIVE_INFINITY): Read<readonly T[]> {
  return (value, at) => {
    if (!Array.isArray(value)) return at.report(`${at.label} must be a list`);
    if (value.length > maxItems) return at.report(`${at.label} must have at most ${maxItems} items`);
    const good = value.map((entry: unknown, index) => readPresent(item, entry, at.at(index))).filter((entry) => entry !== undefined);
    return good.length === value.length ? good : undefined;
  };
}

/** A sequence of at least one item, no two with the same identity. */
export function distinctList<T>(item: Read<T>, identity: (item: T) => string, maxItems?: number): Read<readonly T[]> {
  return (value, at) => {
    const seen = new Set<string>();
    const items = list<T>((entry, place) => {
      const good = item(entry, place);
      if (good === undefined) return undefined;
      const id = identity(good);
      if (seen.has(id)) return place.report(`${place.label} repeats ${quote(id)}; keep one`);
      seen.add(id);
      return good;
    }, maxItems)(value, at);
    if (Array.isArray(value) && value.length === 0) return at.report(`${at.label} must have at least one item`);
    return items;
  };
}

/** A mapping from free names to values of one kind. */
export function record<T>(item: Read<T>, maxItems: number = Number.POSITIVE_INFINITY): Read<Readonly<Record<string, T>>> {
  return (value, at) => {
    if (!isMapping(value)) return at.report(`${at.label} must be a mapping`);
    const given = Object.entries(value);
    if (given.length > maxItems) return at.report(`${at.label} must have at most ${maxItems} items`);
    const entries = given.map(([name, entry]) => [name, readPresent(item, entry, at.at(name))] as const);
    const good = entries.filter((entry): entry is readonly [string, T] => entry[1] !== undefined);
    // fromEntries defines own properties, so that a name like __proto__ is data and nothing else.
    return good.length === given.length ? Object.fromEntries(good) : undefined;
  };
}

/** Any Unicode string; other scalars are refused with the advice to quote them. */
export function text(value: unknown, at: Place): string | undefined {
  if (typeof value === 'string')
    return value.isWellFormed() ? value : at.report(`${at.label} has half a surrogate pair; write whole characters`);
  const advice = typeof value === 'object' ? '' : '; quote it';
  return at.report(`${at.label} must be a string${advice}`);
}

/** A string of at most 256 characters. */
export function shortText(value: unknown, at: Place): string | undefined {
  const given = text(value, at);
  return given === undefined || [...given].length <= 256 ? given : at.report(`${at.label} may not be more than 256 characters`);
}

/** `true` or `false`. */
export function flag(value: unknown, at: Place): boolean | undefined {
  return typeof value === 'boolean' ? value : at.report(`${at.label} must be true or false`);
}

/** One of a closed set of words. */
export function oneOf<T extends string>(allowed: readonly T[]): Read<T> {
  return (value, at) => {
    const found = allowed.find((word) => word === value);
    if (found !== undefined) return found;
    const near = typeof value === 'string' ? nearest(value, allowed) : null;
    const given = typeof value === 'string' ? ` ${quote(value)} is not one of` : ' must be one of';
    return at.report(`${at.label}${given} ${allowed.join(', ')}${near === null ? '' : `; did you mean "${near}"?`}`);
  };
}
