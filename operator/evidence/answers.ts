import type { CallBody } from '../../core/audit/types.ts';
import type { KeyName } from '../../core/names.ts';
import type { Tx } from '../store/types.ts';

/** The tokens of an answer of this key, and of all that it continued, as its entry says; null: no entry of the key has this id. */
export function answerTokens(tx: Tx, key: KeyName, answerSha256: string): number | null {
  const row = tx.streams.answer(key, answerSha256);
  if (row === null) return null;
  const { usage } = JSON.parse(row.body.toString()) as CallBody;
  const tokens = usage === undefined ? 0 : usage.input + usage.cachedInput + usage.cacheWrite + usage.output;
  return Number.isSafeInteger(tokens) && tokens > 0 ? tokens : null;
}
