import type { SimulatedModel, SimulatedUsage } from './types.ts';

/** What a provider would put on its invoice. Amounts in pico-USD. */
export interface Bill {
  readonly totalPico: bigint;
  readonly calls: number;
  readonly byCredential: Readonly<Record<string, { readonly pico: bigint; readonly calls: number }>>;
}

/** The provider's own books, kept apart from everything that KeyForge counts. */
export interface Ledger {
  /** Books one answered call; returns its price in pico-USD. */
  charge(credential: string, model: SimulatedModel, usage: SimulatedUsage): bigint;
  bill(): Bill;
}

/** Empty books. */
export function openLedger(): Ledger {
  const accounts = new Map<string, { pico: bigint; calls: number }>();
  return {
    charge(credential, model, usage) {
      const pico = price(model, usage);
      const account = accounts.get(credential) ?? { pico: 0n, calls: 0 };
      accounts.set(credential, { pico: account.pico + pico, calls: account.calls + 1 });
      return pico;
    },
    bill() {
      const all = [...accounts.values()];
      return {
        totalPico: all.reduce((sum, account) => sum + account.pico, 0n),
        calls: all.reduce((sum, account) => sum + account.calls, 0),
        byCredential: Object.fromEntries([...accounts].map(([credential, account]) => [credential, { ...account }])),
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
