import type { PaidFrom } from '../audit/types.ts';
import type { NanoUsd } from '../money.ts';
import type { Grant } from '../protocol/money.ts';
import { createActivity } from './activity.ts';
import type { Need, Reservation, Shortage } from './types.ts';

/**
 * One proxy's holdings for one key in one epoch: synchronous and without I/O. `nowMs` is the proxy's monotonic clock.
 * I2: of no grant is more settled and reserved than it holds, but for costs beyond their reservation (a breach of I3).
 */
export interface Wallet {
  /**
   * Holds a call's bound against one or more live grants. `whole` (the default) takes the full bound or reports what is lacking;
   * `whatever-fits`, for when the ledger has answered, is content with `need.atLeastNano`.
   */
  reserve(need: Need, nowMs: number, how?: 'whole' | 'whatever-fits'): Reservation | Shortage;
  /** What the call cost, once: who pays, for its entry. What exceeds the reservation is debt of its last grant. */
  settle(reservation: Reservation, costNano: NanoUsd, tokens: number): readonly PaidFrom[];
  /** The call never left: gives everything back, also the request. */
  cancel(reservation: Reservation): void;
  /** Takes a grant in, for calls until its end counted from `sentAtMs`, when the ask was sent. The same grant again changes nothing. */
  deposit(grant: Grant, sentAtMs: number): void;
  /** What to ask for in the background: where less than half is left of what the last deposit made, at most once a second. */
  refill(nowMs: number): Shortage | null;
  /** Grants that have begun and of which nothing is reserved: what a recall can have. */
  idle(nowMs: number): readonly string[];
  /** Those of them that have ended: no call can use them any more. */
  expired(nowMs: number): readonly string[];
  /** Forgets grants that were released. Throws where something is reserved. */
  drop(grantIds: readonly string[]): void;
  /** Unspent, reserved included. */
  heldNano(): NanoUsd;
  reservedNano(): NanoUsd;
}

interface Holding {
  readonly id: string;
  readonly fromMs: number;
  readonly untilMs: number;
  /** Made to carry money or counted requests; the ledger closes such a grant by itself when nothing is left of it. */
  readonly drains: boolean;
  /** Neither settled nor reserved; negative after a cost beyond its reservation. */
  free: NanoUsd;
  reserved: NanoUsd;
  /** Infinite where not limited. */
  requests: number;
  readonly limitsTokens: boolean;
  tokens: number;
  /** Reservations that name it. */
  pins: number;
}

interface Level {
  readonly nano: NanoUsd;
  readonly requests: number;
  readonly tokens: number;
}

const refillEveryMs = 1000;
/** A reply that comes twice comes soon. */
const rememberedGrants = 256;

export function createWallet(): Wallet {
  /** Those that end first come first, so that they are spent first. */
  let holdings: Holding[] = [];
  const byId = new Map<string, Holding>();
  const seen = new Set<string>();
  const open = new Set<Reservation>();
  const activity = createActivity();
  let reserved: NanoUsd = 0;
  let full: Level = { nano: 0, requests: 0, tokens: 0 };
  let lastTokens = 0;
  let refilledMs = Number.NEGATIVE_INFINITY;

  function level(nowMs: number): Level {
    const sum = { nano: 0, requests: 0, tokens: 0 };
    for (const holding of holdings) {
      if (!isLive(holding, nowMs)) continue;
      sum.nano += Math.max(0, holding.free);
      sum.requests += Math.max(0, holding.requests);
      sum.tokens += Math.max(0, holding.tokens);
    }
    return sum;
  }

  function counterFor(need: Need, nowMs: number): Holding | undefined {
    return holdings.find(
      (holding) => isLive(holding, nowMs) && holding.requests >= need.requests && (need.tokens === 0 || holding.tokens >= need.tokens),
    );
  }

  function take(nano: NanoUsd, nowMs: number): Reservation['parts'] {
    const parts: { readonly grant: string; readonly nano: NanoUsd }[] = [];
    let lacking = nano;
    for (const holding of holdings) {
      if (lacking === 0) break;
      if (holding.free <= 0 || !isLive(holding, nowMs)) continue;
      const part = Math.min(lacking, holding.free);
      holding.free -= part;
      holding.reserved += part;
      holding.pins += 1;
      lacking -= part;
      parts.push({ grant: holding.id, nano: part });
    }
    return parts;
  }

  function holdingOf(id: string): Holding {
    const holding = byId.get(id);
    if (holding === undefined) throw new Error(`grant ${id} left the wallet while a reservation named it`);
    return holding;
  }

  function close(reservation: Reservation): void {
    if (!open.delete(reservation)) throw new Error('a reservation was settled or cancelled twice');
    reserved -= reservation.amountNano;
    for (const part of reservation.parts) {
      const holding = holdingOf(part.grant);
      holding.reserved -= part.nano;
      holding.pins -= 1;
    }
    if (reservation.counted !== undefined) holdingOf(reservation.counted.grant).pins -= 1;
  }

  function forgetDrained(): void {
    if (holdings.some(isDrained)) forget(holdings.filter(isDrained));
  }

  function forget(gone: readonly Holding[]): void {
    for (const { id } of gone) byId.delete(id);
    holdings = holdings.filter(({ id }) => byId.has(id));
  }

  function shortage(need: Need, held: NanoUsd, countable: boolean, nowMs: number): Shortage {
    const boundNano = Math.max(0, need.boundNano - held);
    return {
      kind: 'shortage',
      heldNano: held,
      atLeastNano: Math.max(0, need.atLeastNano - held),
      boundNano,
      wantNano: Math.max(boundNano, activity.wantNano(nowMs) - held),
      atLeastRequests: countable ? 0 : need.requests,
      wantRequests: activity.wantRequests(nowMs),
      tokens: countable ? 0 : need.tokens,
    };
  }

  return {
    reserve: (need, nowMs, how = 'whole') => {
      if (how === 'whole') activity.asked(nowMs, reserved, need.boundNano);
      if (need.tokens > 0) lastTokens = need.tokens;
      const counts = need.requests > 0 || need.tokens > 0;
      const counter = counts ? counterFor(need, nowMs) : undefined;
      const countable = !counts || counter !== undefined;
      const held = level(nowMs).nano;
      const enough = how === 'whole' ? need.boundNano : need.atLeastNano;
      if (held < enough || !countable) return shortage(need, held, countable, nowMs);

      const amountNano = Math.min(held, need.boundNano);
      const parts = take(amountNano, nowMs);
      reserved += amountNano;
      if (counter !== undefined) {
        counter.requests -= need.requests;
        counter.tokens -= need.tokens;
        counter.pins += 1;
      }
      const counted = counter === undefined ? {} : { counted: { grant: counter.id, requests: need.requests, tokens: need.tokens } };
      const reservation = { parts, ...counted, amountNano };
      open.add(reservation);
      return reservation;
    },

    settle: (reservation, costNano, tokens) => {
      if (!isCount(costNano) || !isCount(tokens)) throw new RangeError(`a cost of ${costNano} nano-USD and ${tokens} tokens`);
      const payers = payersOf(reservation, costNano);
      close(reservation);
      const { counted } = reservation;
      for (const { grant, held, pays } of payers) holdingOf(grant).free += held - pays;
      if (counted !== undefined) holdingOf(counted.grant).tokens += counted.tokens - tokens;
      activity.spent(costNano);
      const limitsTokens = counted !== undefined && holdingOf(counted.grant).limitsTokens;
      forgetDrained();
      return payers
        .filter(({ grant, pays }) => pays > 0 || grant === counted?.grant)
        .map(({ grant, pays }) => ({
          costNanoUsd: String(pays),
          grant,
          ...(grant === counted?.grant && counted.requests === 1 ? { requests: 1 as const } : {}),
          ...(grant === counted?.grant && limitsTokens ? { tokens } : {}),
        }));
    },

    cancel: (reservation) => {
      close(reservation);
      for (const part of reservation.parts) holdingOf(part.grant).free += part.nano;
      if (reservation.counted === undefined) return;
      const counter = holdingOf(reservation.counted.grant);
      counter.requests += reservation.counted.requests;
      counter.tokens += reservation.counted.tokens;
    },

    deposit: (grant, sentAtMs) => {
      if (seen.has(grant.id)) return;
      seen.add(grant.id);
      for (const oldest of seen) {
        if (seen.size <= rememberedGrants) break;
        seen.delete(oldest);
      }
      const holding: Holding = {
        id: grant.id,
        fromMs: sentAtMs + grant.validAfterMs,
        untilMs: grant.validForMs === undefined ? Number.POSITIVE_INFINITY : sentAtMs + grant.validForMs,
        drains: grant.amountNano > 0 || (grant.requests ?? 0) > 0,
        free: grant.amountNano,
        reserved: 0,
        requests: grant.requests ?? Number.POSITIVE_INFINITY,
        limitsTokens: grant.tokens !== undefined,
        tokens: grant.tokens ?? Number.POSITIVE_INFINITY,
        pins: 0,
      };
      byId.set(holding.id, holding);
      const later = holdings.findIndex(({ untilMs }) => untilMs > holding.untilMs);
      holdings.splice(later === -1 ? holdings.length : later, 0, holding);
      full = level(holding.fromMs);
    },

    refill: (nowMs) => {
      if (!activity.active(nowMs) || nowMs < refilledMs + refillEveryMs) return null;
      const left = level(nowMs);
      const requests = left.requests < full.requests / 2 ? 1 : 0;
      const tokens = left.tokens < full.tokens / 2 ? lastTokens : 0;
      const counts = requests > 0 || tokens > 0;
      const lacking = shortage({ atLeastNano: 0, boundNano: 0, requests, tokens }, left.nano, !counts, nowMs);
      const poor = left.nano < full.nano / 2 && lacking.wantNano > 0;
      if (!poor && !counts) return null;
      refilledMs = nowMs;
      return lacking;
    },

    idle: (nowMs) => holdings.filter(({ pins, fromMs }) => pins === 0 && nowMs >= fromMs).map(({ id }) => id),
    expired: (nowMs) => holdings.filter(({ pins, untilMs }) => pins === 0 && nowMs >= untilMs).map(({ id }) => id),

    drop: (grantIds) => {
      const gone = grantIds.flatMap((id) => byId.get(id) ?? []);
      const pinned = gone.find(({ pins }) => pins > 0);
      if (pinned !== undefined) throw new Error(`grant ${pinned.id} has calls in flight: it cannot be released`);
      forget(gone);
    },

    heldNano: () => holdings.reduce((sum, { free }) => sum + Math.max(0, free), reserved),
    reservedNano: () => reserved,
  };
}

function isLive(holding: Holding, nowMs: number): boolean {
  return nowMs >= holding.fromMs && nowMs < holding.untilMs;
}

function isDrained({ drains, pins, free, requests, tokens, limitsTokens }: Holding): boolean {
  return drains && pins === 0 && free <= 0 && (requests <= 0 || requests === Number.POSITIVE_INFINITY) && (tokens <= 0 || !limitsTokens);
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

interface Payer {
  readonly grant: string;
  readonly held: NanoUsd;
  readonly pays: NanoUsd;
}

/** Grants that end first pay first; the last one also pays what exceeds the reservation. The counting grant is always among them. */
function payersOf({ parts, counted }: Reservation, costNano: NanoUsd): readonly Payer[] {
  const holders = parts.map(({ grant, nano }) => ({ grant, held: nano }));
  if (counted !== undefined && !parts.some(({ grant }) => grant === counted.grant)) holders.unshift({ grant: counted.grant, held: 0 });
  if (holders.length === 0 && costNano > 0) throw new RangeError(`nothing was reserved for a cost of ${costNano} nano-USD`);
  let due = costNano;
  return holders.map(({ grant, held }, index) => {
    const pays = index === holders.length - 1 ? due : Math.min(held, due);
    due -= pays;
    return { grant, held, pays };
  });
}
