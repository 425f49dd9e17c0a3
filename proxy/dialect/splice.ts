import { type JsonObject, scalarText } from '../../core/json.ts';
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
  for (const edit of edits) splices.push(spliceOf(body, edit, splices));
  if (splices.length > 1) splices.sort((a, b) => a.start - b.start);
  return replaced(body.bytes, splices);
}

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

/** A replacement of a value, or a new member. A value that is no object has no members, so all of it is replaced. */
function spliceOf(body: JsonBody, { path: [outer, inner], value }: Edit, before: readonly Splice[]): Splice {
  const { members } = body;
  const range = members.get(outer);
  const text = inner === undefined ? JSON.stringify(value) : `{"${inner}":${JSON.stringify(value)}}`;
  if (range === undefined) return insertion(body.bytes.indexOf(openingBrace), `"${outer}":${text}`, { members, before });
  if (inner === undefined || asObject(body.value[outer]) === null) return { ...range, text };
  const present = membersAt(body, range);
  const found = present.get(inner);
  if (found !== undefined) return { ...found, text: JSON.stringify(value) };
  return insertion(range.start, text.slice(1, -1), { members: present, before });
}

const openingBrace = 0x7b;

/** Puts a member at the front of the object that opens at `brace` and has these members, after those that were put there before. */
function insertion(
  brace: number,
  member: string,
  { members, before }: { readonly members: Members; readonly before: readonly Splice[] },
): Splice {
  const start = brace + 1;
  if (members.size > 0) return { start, end: start, text: `${member},` };
  const isFirst = before.every((splice) => splice.start !== start);
  return { start, end: start, text: isFirst ? member : `,${member}` };
}

/** OpenRouter’s limit of what a host may cost, never above the caller’s own; in every API that OpenRouter serves. */
export function maxPriceEdit(body: JsonObject, maxPrice: NonNullable<Changes['maxPrice']>): Edit {
  const given = asObject(asObject(body['provider'])?.['max_price']) ?? {};
  return { path: ['provider', 'max_price'], value: { ...given, ...lowest(given, maxPrice) } };
}

/** Pico-USD a token are micro-USD a million tokens. */
const picoPerToken = 1_000_000;

/** The lower of the caller's prices and these, in USD per million tokens. */
function lowest(given: JsonObject, { input, output }: { readonly input: number; readonly output: number }): JsonObject {
  const lower = (value: unknown, most: number): number => {
    const wanted = isGiven(value) ? Number(scalarText(value)) : Number.NaN;
    return wanted >= 0 && wanted < most ? wanted : most;
  };
  return { prompt: lower(given['prompt'], input / picoPerToken), completion: lower(given['completion'], output / picoPerToken) };
}
