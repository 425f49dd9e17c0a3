import type { IncomingHttpHeaders } from 'node:http';
import type { JsonObject } from '../../core/json.ts';
import { asString } from './fields.ts';

// Claude Code, Codex and opencode send these with every call of a session.
const sessionHeaders = ['x-claude-code-session-id', 'session-id', 'session_id', 'thread-id', 'x-session-affinity'] as const;
const maxOpeningLength = 1024;

/** Identifies a conversation over its calls: by a name from the client, otherwise by its opening text. Undefined if there is neither. */
export function affinityOf(
  headers: IncomingHttpHeaders,
  body: JsonObject,
  fields: readonly string[],
  opening: () => string,
): string | undefined {
  const cacheKey = asString(body['prompt_cache_key']);
  if (cacheKey !== null && cacheKey !== '') return session('cache', cacheKey);
  for (const name of sessionHeaders) {
    const value = headers[name];
    if (typeof value === 'string' && value !== '') return session('session', value);
  }
  for (const name of fields) {
    const value = body[name];
    if (typeof value === 'string' && value !== '') return session(name, value);
  }
  const text = opening();
  return text === '' ? undefined : session('opening', text);
}

/** Short text from a conversation's start, the same in each of its turns. */
export function openingText(first: unknown, second?: unknown): string {
  const [text, more] = [firstText(first, 6), firstText(second, 6)];
  return text === '' && more === '' ? '' : `${text}\n${more}`;
}

function firstText(value: unknown, depth: number): string {
  if (typeof value === 'string') return value.slice(0, maxOpeningLength);
  if (typeof value !== 'object' || value === null || depth === 0) return '';
  if (Array.isArray(value)) return firstText(value[0], depth - 1);
  const { content, parts, text } = value as JsonObject;
  return firstText(content ?? parts ?? text, depth - 1);
}

/** Bounded, because it will be hashed. */
function session(kind: string, text: string): string {
  return `${kind}\n${text.slice(0, 2 * maxOpeningLength)}`;
}
