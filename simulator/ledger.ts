import type { SimulatedModel, SimulatedUsage } from './types.ts';

/** What a provider would put on its invoice. Amounts in pico-USD. */
export interface Bill {
  readonly totalPico: bigint;
  readonly calls: number;
  readonly byCredential: Readonly<Record<string, Booked>>;
  readonly byModel: Readonly<Record<string, Booked>>;
}

interface Booked {
  readonly pico: bigint;
  readonly calls: number;
}

/** The provider's own books, kept apart from everything that KeyForge counts. */
export interface Ledger {
  /** Books one answered call; returns its price in pico-USD. */
  charge(credential: string, model: SimulatedModel, usage: SimulatedUsage): bigint;
  bill(): Bill;
}

/** Empty books. */
export function openLedger(): Ledger {
  const byCredential = new Map<string, Booked>();
  const byModel = new Map<string, Booked>();
  const book = (accounts: Map<string, Booked>, name: string, pico: bigint): void => {
    const { pico: before, calls } = accounts.get(name) ?? { pico: 0n, calls: 0 };
    accounts.set(name, { pico: before + pico, calls: calls + 1 });
  };
  return {
    charge(credential, model, usage) {
      const pico = price(model, usage);
      book(byCredential, credential, pico);
      book(byModel, model.name, pico);
      return pico;
    },
    bill() {
      const all = [...byModel.values()];
      return {
        totalPico: all.reduce((sum, account) => sum + account.pico, 0n),
        calls: all.reduce((sum, account) => sum + account.calls, 0),
        byCredential: Object.fromEntries(byCredential),
        byModel: Object.fromEntries(byModel),
      };
    },
  };
}

/** The price of a usage by this model's list, in pico-USD. */
export function price(model: SimulatedModel, usage: SimulatedUsage): bigint {
  const rates = model.price;
  const plain = usage.input - usage.cachedInput - usage.cacheWrite;
  return (
    BigInt(plain) * rates.input +
    BigInt(usage.cachedInput) * (rates.cachedInput ?? rates.input) +
    BigInt(usage.cacheWrite - usage.cacheWrite1h) * (rates.cacheWrite ?? rates.input) +
    BigInt(usage.cacheWrite1h) * (rates.cacheWrite1h ?? rates.cacheWrite ?? rates.input) +
    BigInt(usage.output) * rates.output
  );
}
