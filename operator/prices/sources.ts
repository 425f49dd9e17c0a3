import type { ListedModel } from './listed.ts';
import { type Classes, classesAbove, type Table } from './rates.ts';
import type { Prices, Sources } from './settle.ts';

// Sources write the same tier as 271,999 or 272,000: tiers are known by their thousands.
const thousand = 1000;

/** The name of a class in a tier: `input`, or `input above 272k`. */
function className(name: string, tier: number): string {
  return tier === 0 ? name : `${name} above ${tier}k`;
}

function tierOf(above: number): number {
  return Math.round(above / thousand);
}

function tiersOf({ tiers }: Table): ReadonlyMap<number, number> {
  return new Map(tiers.map(({ above }) => [tierOf(above), above]));
}

function rememberedTiers(prices: Prices): readonly number[] {
  return Object.keys(prices)
    .flatMap((name) => / above (\d+)k$/.exec(name)?.[1] ?? [])
    .map(Number);
}

/** A model's sources as flat prices, and the tiers in which they are. */
interface ModelSources extends Sources {
  /** Thousands of tokens, and the exact number above which the tier begins; ascending. */
  readonly tiers: ReadonlyMap<number, number>;
}

/**
 * Flattens what both sources say of a model to one figure a class and tier. `remembered`: the prices in force, whose tiers stay
 * until the price of the tier itself has fallen to the base.
 */
export function sourcesOf({ first, second }: ListedModel & { readonly first: Table }, remembered: Prices): ModelSources {
  const firstTiers = tiersOf(first);
  const secondTiers = second === undefined ? new Map<number, number>() : tiersOf(second);
  const all = [...new Set([...firstTiers.keys(), ...secondTiers.keys(), ...rememberedTiers(remembered)])].sort((a, b) => a - b);
  const begin = (tier: number): number => firstTiers.get(tier) ?? secondTiers.get(tier) ?? tier * thousand - 1;
  const flat = (table: Table, says: (tier: number) => boolean): Prices =>
    Object.fromEntries(
      [0, ...all].filter(says).flatMap((tier) => {
        const above = tier === 0 ? 0 : tier * thousand;
        return Object.entries(classesAbove(table, above)).map(([name, rate]) => [className(name, tier), rate]);
      }),
    );
  return {
    first: flat(first, () => true),
    // A source without any tier says nothing of the tiers of the other.
    second: second === undefined ? null : flat(second, (tier) => secondTiers.has(tier) || !firstTiers.has(tier)),
    tiers: new Map(all.map((tier) => [tier, begin(tier)])),
  };
}

/** The table of flat prices. */
export function tableOfPrices(prices: Prices, { first, tiers }: ModelSources): Table {
  const names = Object.keys(first).filter((name) => !name.includes(' above '));
  const classesIn = (tier: number): Classes =>
    Object.fromEntries(
      names.flatMap((name) => {
        const price = prices[className(name, tier)];
        return price === undefined ? [] : [[name, price]];
      }),
    );
  const base = classesIn(0);
  const differs = (classes: Classes): boolean => Object.entries(classes).some(([name, rate]) => rate !== base[name as keyof Classes]);
  return {
    base,
    tiers: [...tiers].map(([tier, above]) => ({ above, classes: classesIn(tier) })).filter(({ classes }) => differs(classes)),
  };
}
