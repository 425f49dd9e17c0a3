import type { Snapshot } from '../../core/control.ts';
import { type Refusal, refuse } from '../../core/errors.ts';
import type { KeyName, TokenId } from '../../core/key.ts';
import type { PoolName } from '../../core/manifest/types.ts';
import { checkKey } from '../../core/policy/check.ts';
import type { KeyDocument, PoolDocument } from '../../core/policy/documents.ts';
import type { Funds } from './funds.ts';

/** One call in flight, as revocation sees it. */
export interface InFlight {
  readonly tokenId: TokenId;
  /** Ends the call now, with the reason in the caller's dialect. */
  end(reason: Refusal): void;
}

/** One key as this proxy serves it. `document` is replaced whole by each snapshot; the rest lives as long as the key. */
export interface Served {
  readonly key: KeyName;
  document: KeyDocument;
  readonly funds: Funds;
  readonly inFlight: Set<InFlight>;
}

/** What the proxy serves now: the last snapshot, indexed. */
export interface ServedState {
  /** `gone` for a token that worked earlier in this process's life. */
  byToken(id: TokenId, nowMs: number): Served | 'gone' | null;
  readonly pools: ReadonlyMap<PoolName, PoolDocument>;
  /** 0 until the first snapshot. */
  readonly revision: number;
  byKey(key: KeyName): Served | undefined;
  all(): Iterable<Served>;
  apply(snapshot: Snapshot): void;
  /** Stops timers and closes every key's funds. */
  close(): Promise<void>;
}

interface TokenEntry {
  readonly served: Served;
  readonly validUntilMs: number;
}

const rememberedTokens = 10_000;
const longestTimerMs = 2 ** 31 - 1;

/** An empty state. `openFunds` is called once for each key when it first appears. */
export function createServedState(deps: { readonly openFunds: (key: KeyName) => Funds; readonly now: () => number }): ServedState {
  const keys = new Map<KeyName, Served>();
  const expiries = new Map<KeyName, NodeJS.Timeout>();
  const closing = new Set<Promise<void>>();
  const gone = new Set<TokenId>();
  let tokens = new Map<TokenId, TokenEntry>();
  let pools: ReadonlyMap<PoolName, PoolDocument> = new Map();
  let revision = 0;

  function retire(served: Served): void {
    keys.delete(served.key);
    endCalls(served, () => refuse('key_revoked', `The key ${served.key} was deleted.`));
    const closed = served.funds.close().finally(() => closing.delete(closed));
    closing.add(closed);
  }

  function watchExpiry(served: Served): void {
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
    byKey: (key) => keys.get(key),
    all: () => keys.values(),
    apply(snapshot) {
      revision = snapshot.revision;
      pools = new Map(snapshot.pools.map((pool) => [pool.pool, pool]));
      const listed = new Set(snapshot.keys.map(({ document }) => document.key));
      for (const served of [...keys.values()]) if (!listed.has(served.key)) retire(served);
      for (const { document } of snapshot.keys) {
        const known = keys.get(document.key);
        if (known === undefined)
          keys.set(document.key, { key: document.key, document, funds: deps.openFunds(document.key), inFlight: new Set() });
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
    async close() {
      for (const timer of expiries.values()) clearTimeout(timer);
      await Promise.all([...closing, ...[...keys.values()].map((served) => served.funds.close())]);
    },
  };
}

/** Ends the calls for which `reason` gives one. */
function endCalls(served: Served, reason: (call: InFlight) => Refusal | null): void {
  for (const call of [...served.inFlight]) {
    const refusal = reason(call);
    if (refusal !== null) call.end(refusal);
  }
}

/** Ends all calls of a key that may not call any more; true where that was so. */
function endRefusedCalls(served: Served, nowMs: number): boolean {
  const refusal = checkKey(served.document, nowMs);
  if (refusal === null) return false;
  endCalls(served, () => refusal);
  return true;
}
