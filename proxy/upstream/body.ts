import { parseJson } from '../../core/json.ts';

/** Maximum of a kept error body. */
const maxKeptBytes = 64 * 1024;

/** The text of bytes that are a JSON object or list of reasonable size; otherwise undefined. */
export function jsonText(bytes: Buffer): string | undefined {
  if (bytes.length > maxKeptBytes) return undefined;
  const text = bytes.toString();
  const value = parseJson(text);
  return typeof value === 'object' && value !== null ? text : undefined;
}
