import type { JsonObject } from '../../core/json.ts';
import type { Members } from '../intake/scan.ts';
import { asObject, isGiven } from './fields.ts';
import { type JsonBody, membersAt } from './json.ts';
import type { Changes } from './types.ts';

/** JSON text of this model and the members of a body that `names` has, each byte for byte under the name that it has there. */
export function requestOf(model: string, body: JsonBody, names: ReadonlyMap<string, string>): Buffer {
  const parts: Buffer[] = [Buffer.from(`{"model":${JSON.stringify(model)}`)];
  for (const [member, { start, end }] of body.members) {
    const name = names.get(member);
    if (name !== undefined) parts.push(Buffer.from(`,${JSON.stringify(name)}:`), body.bytes.subarray(start, end));
  }
  return Buffer.concat([...parts, Buffer.from('}')]);
}

/** One value to set: a top-level member, or a member of a top-level object. */
export interface Edit {
  readonly path: readonly [member: string] | readonly [object: string, member: string];
  readonly value: string | number | boolean | JsonObject | readonly unknown[];
}

interface Splice {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** Sets these members and leaves every other byte unchanged. Without edits, returns the same buffer. Paths must differ. */
export function spliceBody(body: JsonBody, edits: readonly Edit[]): Buffer {
  if (edits.length === 0) return body.bytes;
  const splices: Splice[] = [];
  const inserts: string[] = [];
  for (const edit of edits) {
    const splice = spliceOf(body, edit);
    if (typeof splice === 'string') inserts.push(splice);
    else splices.push(splice);
  }
  if (inserts.length > 0) {
    const first = body.bytes.indexOf(openingBrace) + 1;
    splices.push({ start: first, end: first, text: joined(inserts, body.members) });
  }
  if (splices.length > 1) splices.sort((a, b) => a.start - b.start);
  return replaced(body.bytes, splices);
}

const openingBrace = 0x7b;

/** Replaces these ranges, which ascend and do not overlap. */
function replaced(bytes: Buffer, splices: readonly Splice[]): Buffer {
  let length = bytes.length;
  for (const { start, end, text } of splices) length += Buffer.byteLength(text) - (end - start);
  const result = Buffer.allocUnsafe(length);
  let from = 0;
  let to = 0;
  for (const { start, end, text } of splices) {
    to += bytes.copy(result, to, from, start);
    to += result.write(text, to);
    from = end;
  }
  bytes.copy(result, to, from);
  return result;
}

/** A replacement within the body, or the text of a member to add at its front. */
function spliceOf(body: JsonBody, { path, value }: Edit): Splice | string {
  const [outer, inner] = path;
  const range = body.members.get(outer);
  const text = JSON.stringify(value);
  const whole = inner === undefined ? text : `{${JSON.stringify(inner)}:${text}}`;
  if (range === undefined) return `${JSON.stringify(outer)}:${whole}`;
  if (inner === undefined || body.value[outer] === null) return { ...range, text: whole };
  const members = membersAt(body, range);
  const within = members.get(inner);
  if (within !== undefined) return { ...within, text };
  return { start: range.start + 1, end: range.start + 1, text: joined([`${JSON.stringify(inner)}:${text}`], members) };
}

function joined(inserts: readonly string[], present: Members): string {
  return inserts.join(',') + (present.size > 0 ? ',' : '');
}

/** OpenRouter’s limit of what a host may cost, never above the caller’s own; in every API that OpenRouter serves. */
export function maxPriceEdits(body: JsonObject, maxPrice: Changes['maxPrice']): readonly Edit[] {
  if (maxPrice === undefined) return [];
  const given = asObject(asObject(body['provider'])?.['max_price']) ?? {};
  return [{ path: ['provider', 'max_price'], value: { ...given, ...lowest(given, maxPrice) } }];
}

/** Pico-USD a token are micro-USD a million tokens. */
const picoPerToken = 1_000_000;

/** The lower of the caller's prices and these, in USD per million tokens. */
function lowest(given: JsonObject, { input, output }: { readonly input: number; readonly output: number }): JsonObject {
  const lower = (value: unknown, most: number): number => {
    const wanted = isGiven(value) ? Number(value) : Number.NaN;
    return wanted >= 0 && wanted < most ? wanted : most;
  };
  return { prompt: lower(given['prompt'], input / picoPerToken), completion: lower(given['completion'], output / picoPerToken) };
}
