import type { EntryBody, PaidFrom } from '../../core/audit/types.ts';
import { accountName } from '../../core/budget/account.ts';
import { totalOf } from '../../core/budget/window-account.ts';
import { formatUsd, type NanoUsd } from '../../core/money.ts';
import type { KeyName } from '../../core/names.ts';
import { type SettledAccount, settledAccounts } from '../ledger/settled.ts';
import type { EntryRow, EpochRow, Tx } from '../store/types.ts';

/** Sums the payments of entries from each account, and compares the sums with the ledger. */
export class AccountCheck {
  readonly #sums = new Map<string, NanoUsd>();
  /** Accounts that funded a grant, those of minutes left out; null where the grant was pruned. */
  readonly #accountsOf = new Map<string, readonly string[] | null>();
  /** Charges to pruned grants, by the key that paid. */
  readonly #pruned = new Map<KeyName, NanoUsd>();
  /** Ancestors of a key, as its calls name them; null where calls differ: it was moved. */
  readonly #paths = new Map<KeyName, readonly KeyName[] | null>();
  /** Grants that a recovery has charged: the ledger charges no second one. */
  readonly #recovered = new Set<string>();
  /** Charges of which nobody knows any more which ancestors paid, by the key that paid, and their sum. */
  readonly #unplaced = new Map<KeyName, NanoUsd>();
  #unplacedSum: NanoUsd = 0;

  add(tx: Tx, { key }: EntryRow, body: EntryBody): void {
    if (body.type === 'call') {
      this.#notePath(key, body.path);
      this.#charge(tx, key, body.paidFrom);
    }
    if (body.type === 'epoch_recovered') {
      const due = body.charges.flatMap(({ paidFrom }) => paidFrom).filter(({ grant }) => !this.#recovered.has(grant));
      for (const { grant } of due) this.#recovered.add(grant);
      this.#charge(tx, key, due);
    }
  }

  /**
   * Accounts that the entries do not explain; those of keys without a stream first. To be called once, in the transaction that
   * read the last entries. Where a key's lifetime account differs, its other windows are left out.
   */
  problems(tx: Tx, epochs: readonly EpochRow[]): readonly string[] {
    this.#placePruned();
    const streams = new Set(epochs.map(({ key }) => key));
    const held = settledAccounts(tx);
    const wrong = [...held, ...this.#withoutAccount(tx, held)].filter((account) => !this.#isExplained(account));
    const wrongForLife = new Set(wrong.filter(isLifetime).map(({ key }) => key));
    const certain = wrong.filter((account) => isLifetime(account) || !wrongForLife.has(account.key));
    const orphansFirst = [...certain.filter(({ key }) => !streams.has(key)), ...certain.filter(({ key }) => streams.has(key))];
    return orphansFirst.map((account) => {
      const [min, max] = this.#rangeOf(account);
      const entries = min === max ? `$${formatUsd(min)}` : `$${formatUsd(min)} to $${formatUsd(max)}`;
      const settled = `$${formatUsd(account.nano)} settled, and its entries come to ${entries}`;
      return `account of ${nameOf(account)}: ${settled}${streams.has(account.key) ? '' : '; the store holds no stream of this key'}`;
    });
  }

  #notePath(key: KeyName, path: readonly KeyName[]): void {
    const known = this.#paths.get(key);
    if (known === undefined) this.#paths.set(key, path);
    else if (known !== null && known.join() !== path.join()) this.#paths.set(key, null);
  }

  /** A grant names the accounts that funded it. */
  #charge(tx: Tx, key: KeyName, paidFrom: readonly PaidFrom[]): void {
    for (const { grant, costNanoUsd } of paidFrom) {
      const funders = this.#fundersOf(tx, grant);
      const nano = Number(costNanoUsd);
      if (funders === null) this.#pruned.set(key, (this.#pruned.get(key) ?? 0) + nano);
      else for (const id of funders) this.#pay(id, nano);
    }
  }

  #pay(id: string, nano: NanoUsd): void {
    this.#sums.set(id, (this.#sums.get(id) ?? 0) + nano);
  }

  #fundersOf(tx: Tx, grant: string): readonly string[] | null {
    const known = this.#accountsOf.get(grant);
    if (known !== undefined) return known;
    const accounts = tx.ledger.grant(grant)?.accounts.filter(isOfMoney) ?? null;
    this.#accountsOf.set(grant, accounts);
    return accounts;
  }

  /** Where a grant was pruned, the path of its key must do: of the lifetime accounts, as its other windows are over for long. */
  #placePruned(): void {
    for (const [key, nano] of this.#pruned) {
      this.#pay(totalOf(key), nano);
      const path = this.#certainPath(key);
      for (const ancestor of path ?? []) this.#pay(totalOf(ancestor), nano);
      if (path !== null) continue;
      this.#unplaced.set(key, nano);
      this.#unplacedSum += nano;
    }
  }

  /** Null for a key that was moved, itself or with an ancestor, and for one without calls. */
  #certainPath(key: KeyName): readonly KeyName[] | null {
    const path = this.#paths.get(key) ?? null;
    return path?.some((ancestor) => this.#paths.get(ancestor) === null) === true ? null : path;
  }

  /** Accounts that entries paid into and that the ledger lacks. */
  #withoutAccount(tx: Tx, held: readonly SettledAccount[]): readonly SettledAccount[] {
    const known = new Set(held.map(({ id }) => id));
    return [...this.#sums.keys()]
      .filter((id) => !known.has(id) && tx.ledger.account(id) === null)
      .map((id) => ({ id, ...accountName(id), nano: 0 }));
  }

  #isExplained(account: SettledAccount): boolean {
    const [min, max] = this.#rangeOf(account);
    return min <= account.nano && account.nano <= max;
  }

  /** What the entries come to, at least and at most. */
  #rangeOf(account: SettledAccount): readonly [min: NanoUsd, max: NanoUsd] {
    const sum = this.#sums.get(account.id) ?? 0;
    const unplaced = isLifetime(account) ? this.#unplacedSum - (this.#unplaced.get(account.key) ?? 0) : 0;
    return [sum, sum + unplaced];
  }
}

/** No money is limited by the minute. Where the store was altered, a grant may name anything. */
function isOfMoney(id: string): boolean {
  try {
    return accountName(id).window !== 'Minute';
  } catch {
    return false;
  }
}

function isLifetime({ window }: SettledAccount): boolean {
  return window === 'Total';
}

function nameOf(account: SettledAccount): string {
  return isLifetime(account) ? account.key : `${account.key} ${account.window} from ${new Date(account.startMs).toISOString()}`;
}
