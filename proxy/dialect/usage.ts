import type { JsonObject } from '../../core/json.ts';
import type { Usage } from '../../core/price/types.ts';

/** A token count; 0 if absent, null or not a number. */
export function tokens(object: JsonObject | null, name: string): number {
  const value = object?.[name];
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? Math.ceil(value) : 0;
}

/** Adds figures that are parts of a class; omits those that are 0. */
export function withParts(usage: Usage, parts: Omit<Usage, 'input' | 'cachedInput' | 'cacheWrite' | 'output' | 'reasoning'>): Usage {
  const given: Record<string, unknown> = { ...usage };
  for (const name in parts) {
    const value = parts[name as keyof typeof parts];
    if (typeof value === 'object' || (value !== undefined && value > 0)) given[name] = value;
  }
  return given as unknown as Usage;
}
