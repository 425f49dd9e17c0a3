import type { NanoUsd } from '../money.ts';
import type { Grant } from '../protocol/money.ts';
import type { Need, Reservation } from './types.ts';

/** A grant in a wallet. */
interface Holding {
  readonly id: string;
  readonly fromMs: number;
  readonly untilMs: number;
  /** True if it carries money or counted requests: the ledger closes such a grant when nothing of it is left. */
  readonly drains: boolean;
  /** Neither settled nor reserved; negative after a cost beyond its reservation. */
  free: NanoUsd;
  /** Infinite if not limited. */
  requests: number;
  readonly limitsTokens: boolean;
  tokens: number;
  /** Reservations that name it. */
  pins: number;
  /** True if it admits no further call. */
  isRetired: boolean;
}

/** What all grants have free together. */
export interface Level {
  readonly nano: NanoUsd;
  readonly requests: number;
  readonly tokens: number;
}

/** The grants in a wallet, in order of their end, so that those that end first are spent first. */
export class Holdings {
  #ordered: Holding[] = [];
  readonly #byId = new Map<string, Holding>();

  /** Adds a grant; its span counts from `sentAtMs`, when it was requested. */
  add(grant: Grant, sentAtMs: number): Holding {
    const holding: Holding = {
      id: grant.id,
      fromMs: sentAtMs + grant.validAfterMs,
      untilMs: grant.validForMs === undefined ? Number.POSITIVE_INFINITY : sentAtMs + grant.validForMs,
      drains: grant.amountNano > 0 || (grant.requests ?? 0) > 0,
      free: grant.amountNano,
      requests: grant.requests ?? Number.POSITIVE_INFINITY,
      limitsTokens: grant.tokens !== undefined,
      tokens: grant.tokens ?? Number.POSITIVE_INFINITY,
      pins: 0,
      isRetired: false,
    };
    this.#byId.set(holding.id, holding);
    const later = this.#ordered.findIndex(({ untilMs }) => untilMs > holding.untilMs);
    this.#ordered.splice(later === -1 ? this.#ordered.length : later, 0, holding);
    return holding;
  }

  /** The grant that a reservation names. */
  get(id: string): Holding {
    const holding = this.#byId.get(id);
    if (holding === undefined) throw new Error(`grant ${id} left the wallet while a reservation named it`);
    return holding;
  }

  /** What the live grants have free in total. */
  level(nowMs: number): Level {
    const sum = { nano: 0, requests: 0, tokens: 0 };
    for (const holding of this.#ordered) {
      if (!isLive(holding, nowMs)) continue;
      sum.nano += Math.max(0, holding.free);
      sum.requests += Math.max(0, holding.requests);
      sum.tokens += Math.max(0, holding.tokens);
    }
    return sum;
  }

  /** The live grant that can count a call's request and tokens. */
  counterFor(need: Need, nowMs: number): Holding | undefined {
    return this.#ordered.find(
      (holding) => isLive(holding, nowMs) && holding.requests >= need.requests && (need.tokens === 0 || holding.tokens >= need.tokens),
    );
  }

  /** Takes money from live grants and pins them; the caller has checked the level. */
  take(nano: NanoUsd, nowMs: number): Reservation['parts'] {
    const parts: { readonly grant: string; readonly nano: NanoUsd }[] = [];
    let lacking = nano;
    for (const holding of this.#ordered) {
      if (lacking === 0) break;
      if (holding.free <= 0 || !isLive(holding, nowMs)) continue;
      const part = Math.min(lacking, holding.free);
      holding.free -= part;
      holding.pins += 1;
      lacking -= part;
      parts.push({ grant: holding.id, nano: part });
    }
    return parts;
  }

  /** Grants that have begun and have no reservation. */
  idle(nowMs: number): readonly string[] {
    return this.#ordered.filter(({ pins, fromMs }) => pins === 0 && nowMs >= fromMs).map(({ id }) => id);
  }

  /** Lets no further call use the grants that have begun. */
  retire(nowMs: number): void {
    for (const holding of this.#ordered) if (nowMs >= holding.fromMs) holding.isRetired = true;
  }

  /** Retired grants that have no reservation. */
  retired(): readonly string[] {
    return this.#ordered.filter(({ pins, isRetired }) => isRetired && pins === 0).map(({ id }) => id);
  }

  /** Grants that have ended and have no reservation. */
  expired(nowMs: number): readonly string[] {
    return this.#ordered.filter(({ pins, untilMs }) => pins === 0 && nowMs >= untilMs).map(({ id }) => id);
  }

  /** Forgets released grants. Throws if one has a reservation. */
  drop(ids: readonly string[]): void {
    const released = ids.flatMap((id) => this.#byId.get(id) ?? []);
    const pinned = released.find(({ pins }) => pins > 0);
    if (pinned !== undefined) throw new Error(`grant ${pinned.id} has calls in flight: it cannot be released`);
    this.#forget(released);
  }

  /** Forgets spent grants, which the ledger closes without a release. */
  dropDrained(): void {
    if (this.#ordered.some(isDrained)) this.#forget(this.#ordered.filter(isDrained));
  }

  /** What all grants have free, live or not. */
  freeNano(): NanoUsd {
    return this.#ordered.reduce((sum, { free }) => sum + Math.max(0, free), 0);
  }

  #forget(holdings: readonly Holding[]): void {
    for (const { id } of holdings) this.#byId.delete(id);
    this.#ordered = this.#ordered.filter(({ id }) => this.#byId.has(id));
  }
}

function isLive(holding: Holding, nowMs: number): boolean {
  return !holding.isRetired && nowMs >= holding.fromMs && nowMs < holding.untilMs;
}

function isDrained({ drains, pins, free, requests, tokens, limitsTokens }: Holding): boolean {
  return drains && pins === 0 && free <= 0 && (requests <= 0 || requests === Number.POSITIVE_INFINITY) && (tokens <= 0 || !limitsTokens);
}
