import { count, timeZone, usd } from './quantity.ts';
import { list, object, oneOf, type Place } from './reader.ts';
import { type Limit, windowKinds } from './types.ts';

const fieldsOfLimit = object({ window: oneOf(windowKinds), usd, requests: count, timeZone }, ['window']);

function limit(value: unknown, at: Place): Limit | undefined {
  const fields = fieldsOfLimit(value, at);
  if (fields?.window === undefined) return undefined;
  const { usd: usdNano, window, ...rest } = fields;
  const given = value as object;
  if (!('usd' in given) && !('requests' in given)) return at.report(`${at.label} limits nothing; give it usd, requests or both`);
  return { timeZone: 'Etc/UTC', ...rest, window, ...(usdNano !== undefined && { usdNano }) };
}

/** `spec.limits`: one item a window. */
export function limits(value: unknown, at: Place): readonly Limit[] | undefined {
  const seen = new Set<string>();
  return list((entry, place) => {
    const read = limit(entry, place);
    if (read === undefined) return undefined;
    if (seen.has(read.window)) return place.report(`${place.label} is a second limit for window ${read.window}; keep one item a window`);
    seen.add(read.window);
    return read;
  })(value, at);
}
