import { type Refusal, refuse } from '../../core/errors.ts';
import type { KeyName, PoolName, TokenId } from '../../core/names.ts';
import { checkKey } from '../../core/policy/check.ts';
import type { KeyDocument, PoolDocument } from '../../core/policy/documents.ts';
import type { Snapshot } from '../../core/protocol/snapshot.ts';
import type { Funds } from '../money/funds.ts';
import { TokenIndex } from './token-index.ts';

/** One call in flight, for revocation. */
export interface InFlight {
  readonly tokenId: TokenId;
  /** Ends the call now, with the reason in the caller's dialect. */
  revoke(reason: Refusal): void;
  /** Resolves when the call is settled and recorded, which may be long after its end. */
  readonly finished: Promise<void>;
}

/** One key that calls may use. Each snapshot replaces `document`; the rest lives as long as the key. */
export interface ActiveKey {
  readonly key: KeyName;
  document: KeyDocument;
  readonly funds: Funds;
  readonly inFlight: Set<InFlight>;
}

/** The keys and pools of the last snapshot, indexed. */
export interface ActiveKeys {
  /** `gone` for a token that worked earlier in this process's life. */
  byToken(id: TokenId, nowMs: number): ActiveKey | 'gone' | null;
  readonly pools: ReadonlyMap<PoolName, PoolDocument>;
  /** 0 until the first snapshot. */
  readonly revision: number;
  /** True if the operator was silent for too long to trust the current policy. False again after its next message. */
  isStale(): boolean;
  byKey(key: KeyName): ActiveKey | undefined;
  all(): Iterable<ActiveKey>;
  apply(snapshot: Snapshot): void;
  /** Settles what an earlier process left open in a key's stream, even if nobody calls with that key again. */
  reclaim(key: KeyName): void;
  /** Resolves when no call is in flight, calls of deleted keys included. */
  settled(): Promise<void>;
  /** Stops timers and closes every key's funds. */
  close(): Promise<void>;
}

const maxTimerMs = 2 ** 31 - 1;

interface ActiveKeysDeps {
  /** Called for each new key. Its stream may be opened after `free` has resolved. */
  readonly openFunds: (key: KeyName, free: Promise<void>) => Funds;
  readonly now: () => number;
  /** Absent: never stale, because the operator is in the same process. */
  readonly isStale?: () => boolean;
}

/** Makes an empty set of keys. */
export function createActiveKeys(deps: ActiveKeysDeps): ActiveKeys {
  return new KeyTable(deps);
}

class KeyTable implements ActiveKeys {
  readonly #deps: ActiveKeysDeps;
  readonly #keys = new Map<KeyName, ActiveKey>();
  readonly #tokens = new TokenIndex<ActiveKey>();
  readonly #expiries = new Map<KeyName, NodeJS.Timeout>();
  /** Deleted keys with calls that are not yet recorded. */
  readonly #leaving = new Map<KeyName, ActiveKey>();
  /** Streams that are closing. */
  readonly #closing = new Map<KeyName, Promise<void>>();
  #pools: ReadonlyMap<PoolName, PoolDocument> = new Map();
  #revision = 0;

  constructor(deps: ActiveKeysDeps) {
    this.#deps = deps;
  }

  get pools(): ReadonlyMap<PoolName, PoolDocument> {
    return this.#pools;
  }

  get revision(): number {
    return this.#revision;
  }

  byToken(id: TokenId, nowMs: number): ActiveKey | 'gone' | null {
    return this.#tokens.find(id, nowMs);
  }

  byKey(key: KeyName): ActiveKey | undefined {
    return this.#keys.get(key);
  }

  all(): Iterable<ActiveKey> {
    return this.#keys.values();
  }

  isStale(): boolean {
    return this.#deps.isStale?.() === true;
  }

  apply(snapshot: Snapshot): void {
    this.#revision = snapshot.revision;
    this.#pools = new Map(snapshot.pools.map((pool) => [pool.pool, pool]));
    const listed = new Set(snapshot.keys.map(({ document }) => document.key));
    for (const active of [...this.#keys.values()]) if (!listed.has(active.key)) this.#retire(active);
    for (const { document } of snapshot.keys) this.#adopt(document);
    this.#tokens.replace(snapshot.keys, (key) => this.#keys.get(key));
    for (const active of this.#keys.values()) this.#endForbiddenCalls(active);
  }

  reclaim(key: KeyName): void {
    const active = this.#keys.get(key);
    if (active !== undefined) return void active.funds.ready();
    const funds = this.#openFunds(key);
    this.#blockUntil(
      key,
      funds.ready().then(() => funds.close()),
    );
  }

  async settled(): Promise<void> {
    await Promise.all([...this.#keys.values(), ...this.#leaving.values()].map(finished));
  }

  async close(): Promise<void> {
    for (const timer of this.#expiries.values()) clearTimeout(timer);
    const open = [...this.#keys.values(), ...this.#leaving.values()];
    await Promise.all([...this.#closing.values(), ...open.map(({ funds }) => funds.close())]);
  }

  #adopt(document: KeyDocument): void {
    const { key } = document;
    const known = this.#keys.get(key) ?? this.#leaving.get(key);
    this.#leaving.delete(key);
    if (known !== undefined) known.document = document;
    this.#keys.set(key, known ?? { key, document, funds: this.#openFunds(key), inFlight: new Set() });
  }

  /** Keeps the stream open until its last call is recorded. A key that is declared again before that continues it. */
  #retire(active: ActiveKey): void {
    const { key, funds } = active;
    this.#keys.delete(key);
    this.#leaving.set(key, active);
    this.#watchExpiry(active);
    endCalls(active, () => refuse('key_revoked', `The key ${key} was deleted.`));
    funds.recall();
    void finished(active).then(() => {
      if (this.#leaving.get(key) !== active || active.inFlight.size > 0) return;
      this.#leaving.delete(key);
      this.#blockUntil(key, funds.close());
    });
  }

  #openFunds(key: KeyName): Funds {
    return this.#deps.openFunds(key, this.#closing.get(key) ?? Promise.resolve());
  }

  /** Blocks the stream of this key until `ended` resolves. */
  #blockUntil(key: KeyName, ended: Promise<void>): void {
    const all = Promise.all([this.#closing.get(key), ended]).then(() => {
      if (this.#closing.get(key) === all) this.#closing.delete(key);
    });
    this.#closing.set(key, all);
  }

  /** Ends the calls that the current document and tokens no longer permit; the others end when the key expires. */
  #endForbiddenCalls(active: ActiveKey): void {
    endRefusedCalls(active, this.#deps.now());
    endCalls(active, ({ tokenId }) =>
      this.#tokens.keyOf(tokenId) === active ? null : refuse('key_revoked', `This token of ${active.key} was revoked.`),
    );
    this.#watchExpiry(active);
  }

  #watchExpiry(active: ActiveKey): void {
    clearTimeout(this.#expiries.get(active.key));
    this.#expiries.delete(active.key);
    const { expiresAtMs } = active.document;
    if (expiresAtMs === undefined || !this.#keys.has(active.key)) return;
    const waitMs = Math.min(Math.max(0, expiresAtMs - this.#deps.now()), maxTimerMs);
    const timer = setTimeout(() => {
      if (!endRefusedCalls(active, this.#deps.now())) this.#watchExpiry(active);
    }, waitMs);
    timer.unref();
    this.#expiries.set(active.key, timer);
  }
}

/** Resolves when the current calls in flight are recorded. */
async function finished(active: ActiveKey): Promise<void> {
  await Promise.all([...active.inFlight].map((call) => call.finished));
}

/** Ends the calls for which `reason` returns a refusal. */
function endCalls(active: ActiveKey, reason: (call: InFlight) => Refusal | null): void {
  for (const call of [...active.inFlight]) {
    const refusal = reason(call);
    if (refusal !== null) call.revoke(refusal);
  }
}

/** Ends all calls of a key that may no longer call; returns true if it may not. */
function endRefusedCalls(active: ActiveKey, nowMs: number): boolean {
  const refusal = checkKey(active.document, nowMs);
  if (refusal === null) return false;
  endCalls(active, () => refusal);
  return true;
}
