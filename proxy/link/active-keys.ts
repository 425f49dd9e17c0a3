import { type Refusal, refuse } from '../../core/errors.ts';
import type { KeyName, PoolName, TokenId } from '../../core/names.ts';
import { checkKey } from '../../core/policy/check.ts';
import type { KeyDocument, PoolDocument } from '../../core/policy/documents.ts';
import type { Snapshot } from '../../core/protocol/snapshot.ts';
import type { Funds } from '../money/funds.ts';

/** One call in flight, as revocation sees it. */
export interface InFlight {
  readonly tokenId: TokenId;
  /** Ends the call now, with the reason in the caller's dialect. */
  end(reason: Refusal): void;
  /** Resolves when it is settled and recorded, which may be long after its end. */
  readonly finished: Promise<void>;
}

/** One key as this proxy serves it. `document` is replaced whole by each snapshot; the rest lives as long as the key. */
export interface ActiveKey {
  readonly key: KeyName;
  document: KeyDocument;
  readonly funds: Funds;
  readonly inFlight: Set<InFlight>;
}

/** What the proxy serves now: the last snapshot, indexed. */
export interface ActiveKeys {
  /** `gone` for a token that worked earlier in this process's life. */
  byToken(id: TokenId, nowMs: number): ActiveKey | 'gone' | null;
  readonly pools: ReadonlyMap<PoolName, PoolDocument>;
  /** 0 until the first snapshot. */
  readonly revision: number;
  /** True where nothing was heard of the operator for so long that what is served may no longer be so. Recovers by itself. */
  isStale(): boolean;
  byKey(key: KeyName): ActiveKey | undefined;
  all(): Iterable<ActiveKey>;
  apply(snapshot: Snapshot): void;
  /** Has what an earlier process left open of a key's stream settled, though nobody may ever call with that key again. */
  reclaim(key: KeyName): void;
  /** Resolves when no call is in flight, deleted keys' included. */
  settled(): Promise<void>;
  /** Stops timers and closes every key's funds. */
  close(): Promise<void>;
}

interface TokenEntry {
  readonly served: ActiveKey;
  readonly validUntilMs: number;
}

const rememberedTokens = 10_000;
const longestTimerMs = 2 ** 31 - 1;

export interface ServedDeps {
  /** Called for each key when it appears; its stream may be opened once `free` has resolved. */
  readonly openFunds: (key: KeyName, free: Promise<void>) => Funds;
  readonly now: () => number;
  /** Absent: never stale, for an operator in the same process. */
  readonly isStale?: () => boolean;
}

/** An empty state. */
export function createActiveKeys(deps: ServedDeps): ActiveKeys {
  const keys = new Map<KeyName, ActiveKey>();
  const expiries = new Map<KeyName, NodeJS.Timeout>();
  /** Deleted, with calls that are still to be recorded. */
  const leaving = new Map<KeyName, ActiveKey>();
  /** Streams that end. */
  const closing = new Map<KeyName, Promise<void>>();
  const gone = new Set<TokenId>();
  let tokens = new Map<TokenId, TokenEntry>();
  let pools: ReadonlyMap<PoolName, PoolDocument> = new Map();
  let revision = 0;

  /** The stream stays open until its last call is recorded; a key that is declared anew before that goes on with it. */
  function retire(served: ActiveKey): void {
    const { key, funds } = served;
    keys.delete(key);
    leaving.set(key, served);
    endCalls(served, () => refuse('key_revoked', `The key ${key} was deleted.`));
    funds.recall();
    void finished(served).then(() => {
      if (leaving.get(key) !== served || served.inFlight.size > 0) return;
      leaving.delete(key);
      keepFrom(key, funds.close());
    });
  }

  /** No other funds of this key may open its stream until then. */
  function keepFrom(key: KeyName, ended: Promise<void>): void {
    const all = Promise.all([closing.get(key), ended]).then(() => {
      if (closing.get(key) === all) closing.delete(key);
    });
    closing.set(key, all);
  }

  function openFunds(key: KeyName): Funds {
    return deps.openFunds(key, closing.get(key) ?? Promise.resolve());
  }

  function enter(document: KeyDocument): ActiveKey {
    const { key } = document;
    const back = leaving.get(key);
    leaving.delete(key);
    return back === undefined ? { key, document, funds: openFunds(key), inFlight: new Set() } : Object.assign(back, { document });
  }

  function watchExpiry(served: ActiveKey): void {
    clearTimeout(expiries.get(served.key));
    expiries.delete(served.key);
    const { expiresAtMs } = served.document;
    if (expiresAtMs === undefined || !keys.has(served.key)) return;
    const wait = Math.min(Math.max(0, expiresAtMs - deps.now()), longestTimerMs);
    const timer = setTimeout(() => {
      if (!endRefusedCalls(served, deps.now())) watchExpiry(served);
    }, wait);
    timer.unref();
    expiries.set(served.key, timer);
  }

  function indexTokens(snapshot: Snapshot): void {
    const next = new Map<TokenId, TokenEntry>();
    for (const { document, tokens: listed } of snapshot.keys) {
      const served = keys.get(document.key);
      if (served === undefined) continue;
      for (const token of listed) next.set(token.id, { served, validUntilMs: token.validUntilMs ?? Number.POSITIVE_INFINITY });
    }
    for (const id of tokens.keys()) if (!next.has(id)) gone.add(id);
    for (const id of gone) {
      if (gone.size <= rememberedTokens && !next.has(id)) continue;
      gone.delete(id);
    }
    tokens = next;
  }

  return {
    byToken(id, nowMs) {
      const entry = tokens.get(id);
      if (entry === undefined) return gone.has(id) ? 'gone' : null;
      return nowMs < entry.validUntilMs ? entry.served : 'gone';
    },
    get pools() {
      return pools;
    },
    get revision() {
      return revision;
    },
    isStale: () => deps.isStale?.() === true,
    byKey: (key) => keys.get(key),
    all: () => keys.values(),
    apply(snapshot) {
      revision = snapshot.revision;
      pools = new Map(snapshot.pools.map((pool) => [pool.pool, pool]));
      const listed = new Set(snapshot.keys.map(({ document }) => document.key));
      for (const served of [...keys.values()]) if (!listed.has(served.key)) retire(served);
      for (const { document } of snapshot.keys) {
        const known = keys.get(document.key);
        if (known === undefined) keys.set(document.key, enter(document));
        else known.document = document;
      }
      indexTokens(snapshot);
      for (const served of keys.values()) {
        endRefusedCalls(served, deps.now());
        endCalls(served, (call) =>
          tokens.get(call.tokenId)?.served === served ? null : refuse('key_revoked', `This token of ${served.key} was revoked.`),
        );
        watchExpiry(served);
      }
    },
    reclaim(key) {
      const served = keys.get(key);
      if (served !== undefined) return void served.funds.ready();
      const funds = openFunds(key);
      const settled = funds.ready().then(() => funds.close());
      keepFrom(key, settled);
    },
    async settled() {
      await Promise.all([...keys.values(), ...leaving.values()].map(finished));
    },
    async close() {
      for (const timer of expiries.values()) clearTimeout(timer);
      const open = [...keys.values(), ...leaving.values()];
      await Promise.all([...closing.values(), ...open.map(({ funds }) => funds.close())]);
    },
  };
}

/** Resolves when the calls that are in flight now are recorded. */
async function finished(served: ActiveKey): Promise<void> {
  await Promise.all([...served.inFlight].map((call) => call.finished));
}

/** Ends the calls for which `reason` gives one. */
function endCalls(served: ActiveKey, reason: (call: InFlight) => Refusal | null): void {
  for (const call of [...served.inFlight]) {
    const refusal = reason(call);
    if (refusal !== null) call.end(refusal);
  }
}

/** Ends all calls of a key that may not call any more; true where that was so. */
function endRefusedCalls(served: ActiveKey, nowMs: number): boolean {
  const refusal = checkKey(served.document, nowMs);
  if (refusal === null) return false;
  endCalls(served, () => refusal);
  return true;
}
