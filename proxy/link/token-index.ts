import type { KeyName, TokenId } from '../../core/names.ts';
import type { Snapshot } from '../../core/protocol/snapshot.ts';

interface TokenEntry<Key> {
  readonly key: Key;
  readonly validUntilMs: number;
}

const rememberedTokens = 10_000;

/** Finds the `Key` of a token. It remembers a bounded number of revoked tokens. */
export class TokenIndex<Key> {
  #tokens: ReadonlyMap<TokenId, TokenEntry<Key>> = new Map();
  readonly #gone = new Set<TokenId>();

  /** `gone` for a token that worked earlier in this process's life. */
  find(id: TokenId, nowMs: number): Key | 'gone' | null {
    const entry = this.#tokens.get(id);
    if (entry === undefined) return this.#gone.has(id) ? 'gone' : null;
    return nowMs < entry.validUntilMs ? entry.key : 'gone';
  }

  /** The key of a token, expired or not. */
  keyOf(id: TokenId): Key | undefined {
    return this.#tokens.get(id)?.key;
  }

  /** Replaces all tokens with those of a snapshot. */
  replace(keys: Snapshot['keys'], byKey: (name: KeyName) => Key | undefined): void {
    const next = new Map<TokenId, TokenEntry<Key>>();
    for (const { document, tokens } of keys) {
      const key = byKey(document.key);
      if (key === undefined) continue;
      for (const { id, validUntilMs = Number.POSITIVE_INFINITY } of tokens) next.set(id, { key, validUntilMs });
    }
    for (const id of this.#tokens.keys()) if (!next.has(id)) this.#gone.add(id);
    for (const id of this.#gone) if (this.#gone.size > rememberedTokens || next.has(id)) this.#gone.delete(id);
    this.#tokens = next;
  }
}
