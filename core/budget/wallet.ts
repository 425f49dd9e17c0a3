import type { PaidFrom } from '../audit/types.ts';
import type { NanoUsd } from '../money.ts';
import type { Grant } from '../protocol/money.ts';
import { Activity } from './activity.ts';
import { Holdings, type Level } from './holdings.ts';
import type { Need, Reservation, Shortage } from './types.ts';

const refillEveryMs = 1000;
/** A duplicate reply arrives soon after the first, so this many are enough. */
const rememberedGrants = 256;

/**
 * One proxy's grants for one key in one epoch: synchronous and without I/O. `nowMs` is the proxy's monotonic clock.
 * I2: no grant has more settled and reserved than it holds, except for costs beyond their reservation (a breach of I3).
 */
export class Wallet {
  readonly #holdings = new Holdings();
  readonly #activity = new Activity();
  readonly #open = new Set<Reservation>();
  readonly #seen = new Set<string>();
  #reserved: NanoUsd = 0;
  /** The level after the last deposit. */
  #full: Level = { nano: 0, requests: 0, tokens: 0 };
  #lastTokens = 0;
  #refilledMs = Number.NEGATIVE_INFINITY;

  /** Notes a call, once, for what the wallet should hold. */
  note(need: Need, nowMs: number): void {
    this.#activity.noteRequest(nowMs, this.#reserved, need.boundNano);
    if (need.tokens > 0) this.#lastTokens = need.tokens;
  }

  /** Reserves up to a call's bound in one or more live grants, or reports the shortage if less than `enoughNano` is free. */
  reserve(need: Need, nowMs: number, enoughNano: NanoUsd = need.boundNano): Reservation | Shortage {
    const counts = need.requests > 0 || need.tokens > 0;
    const counter = counts ? this.#holdings.counterFor(need, nowMs) : undefined;
    const countable = !counts || counter !== undefined;
    const held = this.#holdings.level(nowMs).nano;
    if (held < enoughNano || !countable) return this.#shortage(need, held, countable, nowMs);

    const amountNano = Math.min(held, need.boundNano);
    const parts = this.#holdings.take(amountNano, nowMs);
    this.#reserved += amountNano;
    if (counter !== undefined) {
      counter.requests -= need.requests;
      counter.tokens -= need.tokens;
      counter.pins += 1;
    }
    const counted = counter === undefined ? {} : { counted: { grant: counter.id, requests: need.requests, tokens: need.tokens } };
    const reservation = { parts, ...counted, amountNano };
    this.#open.add(reservation);
    return reservation;
  }

  /** Charges what the call cost, once; returns who pays, for its entry. Its last grant also pays what exceeds the reservation. */
  settle(reservation: Reservation, costNano: NanoUsd, tokens: number): readonly PaidFrom[] {
    if (!isCount(costNano) || !isCount(tokens)) throw new RangeError(`a cost of ${costNano} nano-USD and ${tokens} tokens`);
    const payers = payersOf(reservation, costNano);
    this.#end(reservation);
    const { counted } = reservation;
    const counter = counted === undefined ? undefined : this.#holdings.get(counted.grant);
    for (const { grant, held, pays } of payers) this.#holdings.get(grant).free += held - pays;
    if (counter !== undefined && counted !== undefined) counter.tokens += counted.tokens - tokens;
    this.#activity.noteSpent(costNano);
    this.#holdings.dropDrained();
    const paid: PaidFrom[] = [];
    for (const { grant, pays } of payers) {
      const costNanoUsd = String(pays);
      if (grant !== counted?.grant) {
        if (pays > 0) paid.push({ costNanoUsd, grant });
        continue;
      }
      const requests = counted.requests === 1 ? { requests: 1 as const } : {};
      paid.push(counter?.limitsTokens === true ? { costNanoUsd, grant, ...requests, tokens } : { costNanoUsd, grant, ...requests });
    }
    return paid;
  }

  /** Returns the whole reservation, the counted request included, because the call was never sent. */
  cancel(reservation: Reservation): void {
    this.#end(reservation);
    for (const part of reservation.parts) this.#holdings.get(part.grant).free += part.nano;
    if (reservation.counted === undefined) return;
    const counter = this.#holdings.get(reservation.counted.grant);
    counter.requests += reservation.counted.requests;
    counter.tokens += reservation.counted.tokens;
  }

  /** Adds a grant; its end counts from `sentAtMs`, when it was requested. The same grant a second time changes nothing. */
  deposit(grant: Grant, sentAtMs: number): void {
    if (this.#seen.has(grant.id)) return;
    this.#seen.add(grant.id);
    for (const oldest of this.#seen) {
      if (this.#seen.size <= rememberedGrants) break;
      this.#seen.delete(oldest);
    }
    const { fromMs } = this.#holdings.add(grant, sentAtMs);
    this.#full = this.#holdings.level(fromMs);
  }

  /** What to request in the background, if less than half of the level after the last deposit is left; at most once a second. */
  refill(nowMs: number): Shortage | null {
    if (!this.#activity.isActive(nowMs) || nowMs < this.#refilledMs + refillEveryMs) return null;
    const left = this.#holdings.level(nowMs);
    const requests = left.requests < this.#full.requests / 2 ? 1 : 0;
    const tokens = left.tokens < this.#full.tokens / 2 ? this.#lastTokens : 0;
    const counts = requests > 0 || tokens > 0;
    const lacking = this.#shortage({ atLeastNano: 0, preferredNano: 0, boundNano: 0, requests, tokens }, left.nano, !counts, nowMs);
    const poor = left.nano < this.#full.nano / 2 && lacking.wantNano > 0;
    if (!poor && !counts) return null;
    this.#refilledMs = nowMs;
    return lacking;
  }

  /** Grants that have begun and have no reservation: what a recall can release. */
  idle(nowMs: number): readonly string[] {
    return this.#holdings.idle(nowMs);
  }

  /** Lets no further call use what is here. */
  retire(nowMs: number): void {
    this.#holdings.retire(nowMs);
  }

  /** Retired grants whose calls have ended: what can be released of them. */
  retired(): readonly string[] {
    return this.#holdings.retired();
  }

  /** The idle grants that have ended: no call can use them any more. */
  expired(nowMs: number): readonly string[] {
    return this.#holdings.expired(nowMs);
  }

  /** Forgets released grants. Throws if one has a reservation. */
  drop(grantIds: readonly string[]): void {
    this.#holdings.drop(grantIds);
  }

  /** What a call lacks, whatever it would accept. */
  shortageOf(need: Need, nowMs: number): Shortage {
    const counts = need.requests > 0 || need.tokens > 0;
    const countable = !counts || this.#holdings.counterFor(need, nowMs) !== undefined;
    return this.#shortage(need, this.#holdings.level(nowMs).nano, countable, nowMs);
  }

  /** Unspent money, reserved money included. */
  heldNano(): NanoUsd {
    return this.#reserved + this.#holdings.freeNano();
  }

  reservedNano(): NanoUsd {
    return this.#reserved;
  }

  #end(reservation: Reservation): void {
    if (!this.#open.delete(reservation)) throw new Error('a reservation was settled or cancelled twice');
    this.#reserved -= reservation.amountNano;
    for (const part of reservation.parts) this.#holdings.get(part.grant).pins -= 1;
    if (reservation.counted !== undefined) this.#holdings.get(reservation.counted.grant).pins -= 1;
  }

  #shortage(need: Need, held: NanoUsd, countable: boolean, nowMs: number): Shortage {
    const boundNano = Math.max(0, need.boundNano - held);
    return {
      kind: 'shortage',
      heldNano: held,
      atLeastNano: Math.max(0, need.atLeastNano - held),
      preferredNano: Math.max(0, need.preferredNano - held),
      boundNano,
      wantNano: Math.max(boundNano, this.#activity.wantNano(nowMs) - held),
      atLeastRequests: countable ? 0 : need.requests,
      wantRequests: this.#activity.wantRequests(nowMs),
      tokens: countable ? 0 : need.tokens,
    };
  }
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

interface Payer {
  readonly grant: string;
  readonly held: NanoUsd;
  readonly pays: NanoUsd;
}

/** Grants that end first pay first; the last one also pays what exceeds the reservation. The counting grant is always included. */
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
