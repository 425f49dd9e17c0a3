import type { IncomingMessage } from 'node:http';
import { type Refusal, refuse } from '../../core/errors.ts';
import { defined } from '../../core/json.ts';
import type { PoolName } from '../../core/names.ts';
import type { KeyDocument, PoolDocument } from '../../core/policy/documents.ts';
import type { Dialect } from '../dialect/types.ts';
import { smallBytes } from '../intake/byte-budget.ts';
import type { Funds } from '../money/funds.ts';

interface Payer {
  readonly document: KeyDocument;
  readonly funds: Pick<Funds, 'nothingLeft'>;
}

/**
 * Refuses a large body before it is read, where the ledger said moments ago that no call of this key can be paid; null: read it.
 * Small bodies are always read: they cost nothing, and the ledger may have changed its mind.
 */
export function foresee(
  { document, funds }: Payer,
  dialect: Dialect,
  request: IncomingMessage,
  pools: ReadonlyMap<PoolName, PoolDocument>,
): Refusal | null {
  if (!dialect.billed || !(Number(request.headers['content-length']) >= smallBytes)) return null;
  const denial = funds.nothingLeft();
  if (denial === null || (denial.code === 'budget_exhausted' && mayCostNothing(document, pools))) return null;
  const { code, message, limitedBy, retryAfterSeconds } = denial;
  return refuse(code, `${message}.`, { ...defined({ retryAfterSeconds }), limitedBy });
}

/** True if the key may use a model without a price to pay. */
function mayCostNothing({ pools: allowed }: KeyDocument, pools: ReadonlyMap<PoolName, PoolDocument>): boolean {
  return allowed.some((name) => {
    const { models = [], book = [] } = pools.get(name) ?? {};
    const rates = [...models.map(({ price }) => price), ...book.map(({ price }) => price?.rates)];
    return rates.some((each) => each?.input === 0 && each.output === 0);
  });
}
