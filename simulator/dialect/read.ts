import type { Json } from '../types.ts';

/** True for a JSON object. */
export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The objects of a JSON array; empty where it is not one. */
export function objects(value: unknown): readonly Json[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

/** A non-negative integer, or undefined. */
export function count(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 ? value : undefined;
}

/** Every string below a value, in order, without inline media (`data`, data URLs) and what only steers the cache. */
export function allText(value: unknown): string {
  if (typeof value === 'string') return value.startsWith('data:') ? '' : value;
  if (Array.isArray(value)) return value.map(allText).filter(Boolean).join(' ');
  if (!isObject(value)) return '';
  return Object.entries(value)
    .filter(([name]) => name !== 'data' && name !== 'cache_control')
    .map(([, child]) => allText(child))
    .filter(Boolean)
    .join(' ');
}

/** Text of a message's content: a string, or the `text` of its parts. */
export function contentText(content: unknown): string {
  if (typeof content === 'string') return content;
  return objects(content)
    .map((part) => (typeof part['text'] === 'string' ? part['text'] : ''))
    .filter(Boolean)
    .join(' ');
}
