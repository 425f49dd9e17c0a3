import type { KeyDocument } from '../../core/policy/documents.ts';

/** How long a count stays true enough: a body's count does not change, but a provider's tokenizer may. */
const rememberMs = 60_000;
const maxRemembered = 1024;
/** Counts a minute. A counter is a provider's goodwill, with limits of its own that all keys share. */
const perKey = 100;
const perCredential = 300;
const minuteMs = 60_000;

interface Window {
  startMs: number;
  used: number;
}

/** What providers counted, and how often they may be asked. In memory and bounded: a lost count is asked for again. */
export class TokenCounts {
  /** Milliseconds of a monotonic clock. */
  readonly #monotonic: () => number;
  readonly #counts = new Map<string, { readonly tokens: number | null; readonly untilMs: number }>();
  readonly #windows = new Map<string, Window>();

  constructor(monotonic: () => number) {
    this.#monotonic = monotonic;
  }

  /** The tokens of a body, by its hash and model; null: its counter gave none; undefined: not asked yet. */
  recall(body: string): number | null | undefined {
    const known = this.#counts.get(body);
    return known === undefined || known.untilMs <= this.#monotonic() ? undefined : known.tokens;
  }

  remember(body: string, tokens: number | null): void {
    this.#counts.delete(body);
    this.#counts.set(body, { tokens, untilMs: this.#monotonic() + rememberMs });
    trim(this.#counts);
  }

  /** Takes one count of this minute from key and credential; false: one of them has none left. A key has no more than its rate. */
  take({ key, requestsPerMinute = perKey }: Pick<KeyDocument, 'key' | 'requestsPerMinute'>, credential: string): boolean {
    const windows = [this.#window(`key ${key}`), this.#window(`credential ${credential}`)] as const;
    if (windows[0].used >= Math.min(perKey, requestsPerMinute) || windows[1].used >= perCredential) return false;
    for (const window of windows) window.used += 1;
    return true;
  }

  #window(of: string): Window {
    const nowMs = this.#monotonic();
    const known = this.#windows.get(of);
    if (known !== undefined && nowMs < known.startMs + minuteMs) return known;
    const window = { startMs: nowMs, used: 0 };
    this.#windows.delete(of);
    this.#windows.set(of, window);
    // Not by number: a caller with many sub-agents would renew the window of a credential.
    for (const [oldest, { startMs }] of this.#windows) {
      if (nowMs < startMs + minuteMs) break;
      this.#windows.delete(oldest);
    }
    return window;
  }
}

/** Forgets the oldest. */
function trim(map: Map<string, unknown>): void {
  for (const oldest of map.keys()) {
    if (map.size <= maxRemembered) return;
    map.delete(oldest);
  }
}
