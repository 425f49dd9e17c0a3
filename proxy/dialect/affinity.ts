import type { IncomingHttpHeaders } from 'node:http';
import type { JsonObject } from '../../core/json.ts';
import { asString } from './fields.ts';

// Sent by Claude Code, Codex and opencode with every call of one session.
const sessionHeaders = ['x-claude-code-session-id', 'session-id', 'session_id', 'thread-id', 'x-session-affinity'] as const;
const maxOpeningLength = 1024;

/** What ties the calls of one conversation together: a name the client gave it, else how it opens. Undefined where there is neither. */
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

/** Text by which a conversation is known: the same in each of its turns, and short. */
export function openingText(...parts: readonly unknown[]): string {
  return parts.map((part) => firstText(part, 6)).join('\n');
}

function firstText(value: unknown, depth: number): string {
  if (typeof value === 'string') return value.slice(0, maxOpeningLength);
  if (typeof value !== 'object' || value === null || depth === 0) return '';
  if (Array.isArray(value)) return firstText(value[0], depth - 1);
  const { content, parts, text } = value as JsonObject;
  return firstText(content ?? parts ?? text, depth - 1);
}

/** Bounded, for whoever hashes it. */
function session(kind: string, text: string): string {
  return `${kind}\n${text.slice(0, 2 * maxOpeningLength)}`;
}
