import type { JsonObject } from '../../core/json.ts';
import type { Usage } from '../../core/price/types.ts';

/** A token count; 0 where it is absent, null or no number. */
export function tokens(object: JsonObject | null, name: string): number {
  const value = object?.[name];
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? Math.ceil(value) : 0;
}

/** The figures that may be part of a class; left out where they are 0. */
export function withParts(usage: Usage, parts: Omit<Usage, 'input' | 'cachedInput' | 'cacheWrite' | 'output' | 'reasoning'>): Usage {
  return { ...usage, ...Object.fromEntries(Object.entries(parts).filter(([, value]) => value > 0)) };
}
