import type { CallBody, EntryBody, PaidFrom } from '../../core/audit/types.ts';
import { accountName } from '../../core/budget/account.ts';
import { totalOf } from '../../core/budget/window-account.ts';
import { formatUsd, type NanoUsd } from '../../core/money.ts';
import type { KeyName, StreamId } from '../../core/names.ts';
import { keepClosedGrantsMs, type SettledAccount, settledAccounts } from '../ledger/settled.ts';
import type { EntryRow, EpochRow, Tx } from '../store/types.ts';

/** Adds up what entries say was paid from each account, and compares the sums with the ledger. */
export class AccountCheck {
  readonly #sums = new Map<string, NanoUsd>();
  /** Accounts that funded a grant; null where the grant was pruned. */
  readonly #accountsOf = new Map<string, readonly string[] | null>();
  /** Ancestors of each stream's key, as its calls name them. */
  readonly #paths = new Map<StreamId, readonly KeyName[]>();
  /** Keys with charges to pruned grants: of those, only the lifetime accounts are certain. */
  readonly #uncertain = new Set<KeyName>();

  add(tx: Tx, row: EntryRow, body: EntryBody): void {
    if (body.type === 'call') this.#paths.set(row.stream, (body as CallBody).path);
    if (body.type === 'call') this.#charge(tx, row, body.paidFrom);
    if (body.type === 'epoch_recovered') for (const { paidFrom } of body.charges) this.#charge(tx, row, paidFrom);
  }

  /**
   * Accounts that the entries do not explain; those of keys without a stream first. To be called in the transaction that read
   * the last entries. Where a key's lifetime account differs, its other windows are left out.
   */
  problems(tx: Tx, epochs: readonly EpochRow[]): readonly string[] {
    const streams = new Set(epochs.map(({ key }) => key));
    const held = settledAccounts(tx);
    const wrong = [...held, ...this.#withoutAccount(held)].filter((account) => account.nano !== this.#sumOf(account));
    const wrongForLife = new Set(wrong.filter(isLifetime).map(({ key }) => key));
    const certain = wrong.filter((account) => isLifetime(account) || (!wrongForLife.has(account.key) && !this.#isUncertain(tx, account)));
    const orphansFirst = [...certain.filter(({ key }) => !streams.has(key)), ...certain.filter(({ key }) => streams.has(key))];
    return orphansFirst.map((account) => {
      const settled = `$${formatUsd(account.nano)} settled, and its entries come to $${formatUsd(this.#sumOf(account))}`;
      return `account of ${nameOf(account)}: ${settled}${streams.has(account.key) ? '' : '; the store holds no stream of this key'}`;
    });
  }

  /** A grant names the accounts that funded it. Where it was pruned, the path that the calls of this stream name must do. */
  #charge(tx: Tx, row: EntryRow, paidFrom: readonly PaidFrom[]): void {
    for (const { grant, costNanoUsd } of paidFrom) {
      const path = [row.key, ...(this.#paths.get(row.stream) ?? [])];
      const funders = this.#fundersOf(tx, grant);
      if (funders === null) for (const key of path) this.#uncertain.add(key);
      for (const id of funders ?? path.map(totalOf)) this.#sums.set(id, (this.#sums.get(id) ?? 0) + Number(costNanoUsd));
    }
  }

  #fundersOf(tx: Tx, grant: string): readonly string[] | null {
    const known = this.#accountsOf.get(grant);
    if (known !== undefined) return known;
    const accounts = tx.ledger.grant(grant)?.accounts ?? null;
    this.#accountsOf.set(grant, accounts);
    return accounts;
  }

  /** Accounts that entries paid into and that the ledger lacks. It prunes accounts of minutes. */
  #withoutAccount(held: readonly SettledAccount[]): readonly SettledAccount[] {
    const known = new Set(held.map(({ id }) => id));
    return [...this.#sums.keys()]
      .filter((id) => !known.has(id))
      .map((id) => ({ id, ...accountName(id), nano: 0 }))
      .filter(({ window }) => window !== 'Minute');
  }

  #sumOf({ id }: SettledAccount): NanoUsd {
    return this.#sums.get(id) ?? 0;
  }

  /** True where a pruned grant may have been paid from this account: nobody can tell any more which windows funded it. */
  #isUncertain(tx: Tx, { key, startMs }: SettledAccount): boolean {
    return this.#uncertain.has(key) && startMs < tx.now() - keepClosedGrantsMs;
  }
}

function isLifetime({ window }: SettledAccount): boolean {
  return window === 'Total';
}

function nameOf(account: SettledAccount): string {
  return isLifetime(account) ? account.key : `${account.key} ${account.window} from ${new Date(account.startMs).toISOString()}`;
}
