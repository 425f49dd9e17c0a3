import type { CreditPart } from '../../core/audit/types.ts';
import { creditBurned, creditSettled } from '../../core/budget/grant.ts';
import { defined } from '../../core/json.ts';
import type { NanoUsd } from '../../core/money.ts';
import type { KeyName } from '../../core/names.ts';
import type { Tx } from '../store/types.ts';
import { ledgerOf } from './tx-ledger.ts';
import { type UnmeasuredCharge, type UnmeasuredPart, unmeasuredCharges } from './unmeasured.ts';

/** What an administrator gives back: `nano`, or everything if that is absent. */
export interface CreditOrder {
  readonly key: KeyName;
  readonly nano?: NanoUsd;
}

/** What was given back and has to be recorded as `credited` in the same transaction, or the most that could be given back. */
export type CreditOutcome = { readonly parts: readonly CreditPart[] } | { readonly creditableNano: NanoUsd };

/**
 * Gives back charges that nobody measured, oldest first, to every account that funded them, and only where no entry can change
 * them any more. It changes nothing if there is nothing to give back, or less than ordered.
 */
export function giveBack(tx: Tx, { key, nano }: CreditOrder): CreditOutcome {
  const charges = unmeasuredCharges(tx, key);
  const creditableNano = creditableOf(charges);
  const dues = duesOf(charges, nano ?? Number.POSITIVE_INFINITY);
  if (dues.length === 0 || (nano !== undefined && nano > creditableNano)) return { creditableNano };
  const ledger = ledgerOf(tx);
  for (const { kind, grant: id, nano: back } of dues) {
    const grant = ledger.grant(id);
    if (grant === null) throw new Error(`grant ${id} vanished within a transaction`);
    const credit = kind === 'burned' ? creditBurned : creditSettled;
    credit(ledger, grant, back, tx.now());
  }
  return { parts: dues.map(({ requestId, grant, nano: back }) => ({ grant, nanoUsd: String(back), ...defined({ requestId }) })) };
}

/** What can be given back of these charges now. */
export function creditableOf(charges: readonly UnmeasuredCharge[]): NanoUsd {
  return charges.filter(isFinal).reduce((sum, { parts }) => sum + parts.reduce((all, part) => all + leftOf(part), 0), 0);
}

/** A payment to give back. */
interface Due extends Pick<UnmeasuredCharge, 'kind' | 'requestId'> {
  readonly grant: string;
  readonly nano: NanoUsd;
}

function duesOf(charges: readonly UnmeasuredCharge[], mostNano: number): readonly Due[] {
  let left = mostNano;
  const dues: Due[] = [];
  const parts = charges.filter(isFinal).flatMap(({ kind, requestId, parts: all }) => all.map((part) => ({ kind, requestId, part })));
  for (const { kind, requestId, part } of parts) {
    if (left === 0) break;
    const nano = Math.min(left, leftOf(part));
    left -= nano;
    // A grant of a key without a dollar limit can have burned requests alone.
    const burnedRequests = kind === 'burned' ? part.grant.burned.requests : 0;
    if (nano > 0 || burnedRequests > 0) dues.push({ kind, grant: part.grant.id, nano, ...defined({ requestId }) });
  }
  return dues;
}

function leftOf({ chargedNano, creditedNano }: UnmeasuredPart): NanoUsd {
  return chargedNano - creditedNano;
}

function isFinal({ pending }: UnmeasuredCharge): boolean {
  return pending === undefined;
}
