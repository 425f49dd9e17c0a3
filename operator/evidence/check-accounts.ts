import type { Credit, EntryBody, PaidFrom } from '../../core/audit/types.ts';
import { accountName } from '../../core/budget/account.ts';
import { totalOf } from '../../core/budget/window-account.ts';
import { formatUsd, type NanoUsd } from '../../core/money.ts';
import type { KeyName } from '../../core/names.ts';
import { Recoveries } from '../ledger/recoveries.ts';
import { type SettledAccount, settledAccounts } from '../ledger/settled.ts';
import type { EntryRow, EpochRow, Tx } from '../store/types.ts';

/** Sums the payments of entries from each account, and compares the sums with the ledger. */
export class AccountCheck {
  readonly #sums = new Map<string, NanoUsd>();
  /** Accounts that funded a grant, except those of minutes; null if the grant was pruned. */
  readonly #accountsOf = new Map<string, readonly string[] | null>();
  /** Charges to pruned grants, by the key that paid. */
  readonly #pruned = new Map<KeyName, NanoUsd>();
  /** Ancestors of a key, from its calls; null if calls differ, because the key was moved. */
  readonly #paths = new Map<KeyName, readonly KeyName[] | null>();
  readonly #recoveries = new Recoveries();
  /** What entries charged without a measurement and no entry has given back yet, by call. */
  readonly #unmeasured = new Map<string, NanoUsd>();
  readonly #excessive: string[] = [];
  /** Charges whose paying ancestors are no longer known, by the key that paid, and their sum. */
  readonly #unplaced = new Map<KeyName, NanoUsd>();
  #unplacedSum: NanoUsd = 0;

  add(tx: Tx, { key }: EntryRow, body: EntryBody): void {
    if (body.type === 'call') {
      this.#notePath(key, body.path);
      this.#charge(tx, key, body.paidFrom);
      if (body.estimated) this.#noteUnmeasured(callId(key, body.requestId), body.paidFrom);
    }
    if (body.type === 'epoch_recovered') {
      for (const { requestId, paidFrom, measured } of this.#recoveries.due(body)) {
        this.#charge(tx, key, paidFrom);
        if (measured === undefined) this.#noteUnmeasured(callId(key, requestId), paidFrom);
      }
    }
    if (body.type === 'credited' && body.credit !== undefined) this.#giveBack(tx, body.credit);
  }

  /**
   * Reports accounts that the entries do not explain, those of keys without a stream first. Call it once, in the transaction that
   * read the last entries. If a key's lifetime account differs, its other windows are omitted.
   */
  problems(tx: Tx, epochs: readonly EpochRow[]): readonly string[] {
    this.#placePruned();
    const streams = new Set(epochs.map(({ key }) => key));
    const held = settledAccounts(tx);
    const wrong = [...held, ...this.#withoutAccount(tx, held)].filter((account) => !this.#isExplained(account));
    const wrongForLife = new Set(wrong.filter(isLifetime).map(({ key }) => key));
    const certain = wrong.filter((account) => isLifetime(account) || !wrongForLife.has(account.key));
    const orphansFirst = [...certain.filter(({ key }) => !streams.has(key)), ...certain.filter(({ key }) => streams.has(key))];
    const mismatches = orphansFirst.map((account) => {
      const [min, max] = this.#rangeOf(account);
      const entries = min === max ? `$${formatUsd(min)}` : `$${formatUsd(min)} to $${formatUsd(max)}`;
      const settled = `$${formatUsd(account.nano)} settled, and its entries come to ${entries}`;
      return `account of ${nameOf(account)}: ${settled}${streams.has(account.key) ? '' : '; the store holds no stream of this key'}`;
    });
    return [...this.#excessive, ...mismatches];
  }

  #noteUnmeasured(call: string, paidFrom: readonly PaidFrom[]): void {
    const nano = paidFrom.reduce((sum, { costNanoUsd }) => sum + Number(costNanoUsd), 0);
    this.#unmeasured.set(call, (this.#unmeasured.get(call) ?? 0) + nano);
  }

  /** Takes a credit of calls off the accounts that paid for them. What burned was never settled. */
  #giveBack(tx: Tx, { key, parts }: Credit): void {
    for (const { requestId, grant, nanoUsd } of parts) {
      if (requestId === undefined) continue;
      this.#charge(tx, key, [{ grant, costNanoUsd: String(-Number(nanoUsd)) }]);
      const call = callId(key, requestId);
      const left = (this.#unmeasured.get(call) ?? 0) - Number(nanoUsd);
      this.#unmeasured.set(call, Math.max(0, left));
      if (left < 0) this.#excessive.push(`credit of ${key}: $${formatUsd(-left)} too much given back of call ${requestId}`);
    }
  }

  #notePath(key: KeyName, path: readonly KeyName[]): void {
    const known = this.#paths.get(key);
    if (known === undefined) this.#paths.set(key, path);
    else if (known !== null && known.join() !== path.join()) this.#paths.set(key, null);
  }

  /** Adds a charge to the accounts that funded its grant. */
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

  /** Adds charges to pruned grants, by the path of their key, to lifetime accounts only: the other windows ended long ago. */
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

  /** The path of a key; null if it or an ancestor was moved, or if it has no calls. */
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

  /** The minimum and maximum of what the entries add up to. */
  #rangeOf(account: SettledAccount): readonly [min: NanoUsd, max: NanoUsd] {
    const sum = this.#sums.get(account.id) ?? 0;
    const unplaced = isLifetime(account) ? this.#unplacedSum - (this.#unplaced.get(account.key) ?? 0) : 0;
    return [sum, sum + unplaced];
  }
}

function callId(key: KeyName, requestId: string): string {
  return `${key} ${requestId}`;
}

/** False for accounts of minutes, which limit no money, and for a text that is no account: an altered grant may name anything. */
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
