import type { WaitingModel } from './prices.ts';
import type { WaitReason } from './settle.ts';

/** A price that waits for an acknowledgement, in dollars per million tokens. */
export interface WaitingPrice {
  readonly class: string;
  readonly reason: WaitReason;
  readonly from: string;
  readonly to: string;
  readonly inForce: string;
}

/** A model with such prices. */
export interface PriceListing {
  readonly provider: string;
  readonly model: string;
  readonly prices: readonly WaitingPrice[];
}

function dollars(picoPerToken: number): string {
  return String(picoPerToken / 1e6);
}

/** The prices of a model for people. */
export function priceListing({ provider, model, waits }: WaitingModel): PriceListing {
  const prices = waits.map(({ class: name, reason, from, to, inForce }) => {
    return { class: name, reason, from: dollars(from), to: dollars(to), inForce: dollars(inForce) };
  });
  return { provider, model, prices };
}
