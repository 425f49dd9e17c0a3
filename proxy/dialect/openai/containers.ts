import { asObject, asString } from '../fields.ts';

/** A session costs its fee for each GB of memory: OpenAI’s price page. */
const memories: Readonly<Record<string, number>> = { '1g': 1, '4g': 4, '16g': 16, '64g': 64 };

/** How many fees a session costs in a container that the provider makes; null: another container, of unknown size. */
export function sessionFees(container: unknown): number | null {
  const settings = asObject(container);
  if (asString(settings?.['type'])?.endsWith('auto') !== true) return null;
  return memories[String(settings?.['memory_limit'] ?? '1g')] ?? null;
}
