import type { RefusalGroup } from '../../core/audit/types.ts';

/** What tells the refusals of one key apart. No member is a text of its caller. */
export type RefusedCall = Pick<RefusalGroup, 'code' | 'endpoint' | 'model' | 'tokenId'>;

interface Counted {
  readonly call: RefusedCall;
  readonly fromMs: number;
  toMs: number;
  count: number;
  /** The count in its newest record of the spool; 0: it has none. */
  saved: number;
}

/** A group without an entry, as the spool keeps it. */
interface KeptGroup {
  /** Unique in the epoch; no request has this id. */
  readonly id: string;
  readonly group: RefusalGroup;
}

const minuteMs = 60_000;
const maxKinds = 256;
const maxGroups = 256;

/**
 * Counts the refusals of one key in one minute of the proxy's clock. The first of each code, endpoint and token needs an entry;
 * the others are grouped by these and by model. Beyond 256 of either, refusals are grouped by code alone, so that no caller
 * decides how much memory they take.
 */
export class RefusalGroups {
  readonly #groups = new Map<string, Counted>();
  /** Codes, endpoints and tokens of which the first came in this minute. */
  readonly #kinds = new Set<string>();
  #minute = -1;

  get size(): number {
    return this.#groups.size;
  }

  /** True if there are groups of another minute, which end before another refusal counts. */
  isOver(nowMs: number): boolean {
    return this.#groups.size > 0 && minuteOf(nowMs) !== this.#minute;
  }

  /** Counts a refusal. False: it is the first of its kind in this minute, and needs an entry. */
  count(call: RefusedCall, nowMs: number): boolean {
    if (minuteOf(nowMs) !== this.#minute) this.#kinds.clear();
    this.#minute = minuteOf(nowMs);
    const kind = kindOf(call);
    if (this.#kinds.has(kind)) this.#add(`${this.#minute} ${kind} ${call.model ?? ''}`, call, nowMs);
    else if (this.#kinds.size < maxKinds) return !this.#kinds.add(kind);
    else this.#addByCode(call, nowMs);
    return true;
  }

  /** Makes the next refusal of a kind its first again: the entry of the first could not be written. */
  forget(call: RefusedCall): void {
    this.#kinds.delete(kindOf(call));
  }

  /** All groups. A caller may drop each as it comes. */
  *all(): Generator<KeptGroup> {
    for (const [id, counted] of this.#groups) yield { id, group: groupOf(counted) };
  }

  /** The groups that have counted since they were saved. Each counts as saved when the next one is asked for. */
  *changed(): Generator<KeptGroup> {
    for (const [id, counted] of this.#groups) {
      if (counted.saved === counted.count) continue;
      yield { id, group: groupOf(counted) };
      counted.saved = counted.count;
    }
  }

  /** Ends a group, which has an entry now. */
  drop(id: string): void {
    this.#groups.delete(id);
  }

  #add(id: string, call: RefusedCall, nowMs: number): void {
    const known = this.#groups.get(id);
    if (known === undefined && this.#groups.size >= maxGroups) this.#addByCode(call, nowMs);
    else if (known === undefined) this.#groups.set(id, begin(call, nowMs));
    else more(known, nowMs);
  }

  #addByCode({ code }: RefusedCall, nowMs: number): void {
    const id = `${this.#minute} ${code}`;
    const known = this.#groups.get(id);
    if (known === undefined) this.#groups.set(id, begin({ code, endpoint: 'other' }, nowMs));
    else more(known, nowMs);
  }
}

function minuteOf(nowMs: number): number {
  return Math.floor(nowMs / minuteMs);
}

function kindOf({ code, endpoint, tokenId }: RefusedCall): string {
  return `${code} ${endpoint} ${tokenId}`;
}

function begin(call: RefusedCall, nowMs: number): Counted {
  return { call, fromMs: nowMs, toMs: nowMs, count: 1, saved: 0 };
}

function more(counted: Counted, nowMs: number): void {
  counted.count += 1;
  // The clock may be set back.
  counted.toMs = Math.max(counted.toMs, nowMs);
}

/** Its members in canonical order. */
function groupOf({ call, count, fromMs, toMs }: Counted): RefusalGroup {
  const { code, endpoint, model, tokenId } = call;
  return { code, count, endpoint, from: new Date(fromMs).toISOString(), model, to: new Date(toMs).toISOString(), tokenId };
}
