import type { EpochRecoveredBody, RecoveredCharge } from '../../core/audit/types.ts';

/** Which charges of recoveries the ledger applied: one recovery charges a grant, a second does not. Takes entries in storing order. */
export class Recoveries {
  readonly #grants = new Set<string>();

  /** The charges of a recovery, without the payments that an earlier one has made. */
  due({ charges }: EpochRecoveredBody): readonly RecoveredCharge[] {
    const due = charges.map((charge) => ({ ...charge, paidFrom: charge.paidFrom.filter(({ grant }) => !this.#grants.has(grant)) }));
    for (const { paidFrom } of due) for (const { grant } of paidFrom) this.#grants.add(grant);
    return due;
  }
}
