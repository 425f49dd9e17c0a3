import { createHash } from 'node:crypto';
import { countTokens } from './tokens.ts';
import type { Block, CacheUse, Prompt, SimulatedModel } from './types.ts';

const lifetimeMs = { none: 0, '5m': 300_000, '1h': 3_600_000 } as const;
const keptPrompts = 10_000;
/** Blocks before a breakpoint at which Anthropic looks for a prefix: platform.claude.com/docs/en/build-with-claude/prompt-caching */
const lookback = 20;

interface Prefix {
  readonly id: string;
  readonly tokens: number;
  readonly breakpoint: boolean;
}

/**
 * The prompts that a provider keeps. With breakpoints as Anthropic bills them: the longest known prefix is read, the rest up
 * to the last breakpoint is written, and both last from their latest use. Without: a caching model reads three quarters of
 * a prompt that it had before.
 */
export class PromptCache {
  /** Prefixes and whole prompts with the model's name → when they end; least recently used first. */
  readonly #endsMs = new Map<string, number>();

  /** Looks up one prompt of `inputTokens` and keeps it. */
  use(model: SimulatedModel, prompt: Prompt, { inputTokens, nowMs }: { readonly inputTokens: number; readonly nowMs: number }): CacheUse {
    if (prompt.blocks !== undefined && prompt.cacheWrite !== 'none' && model.price.cacheWrite !== undefined)
      return this.#useBlocks(prefixesOf(model, prompt.blocks), nowMs, lifetimeMs[prompt.cacheWrite]);
    if (model.caches !== true) return { read: 0, written: 0 };
    const id = `${model.name} ${prompt.everything}`;
    const read = this.#endsMs.has(id) ? Math.floor(inputTokens * 0.75) : 0;
    this.#keep(id, Number.POSITIVE_INFINITY);
    return { read, written: 0 };
  }

  #useBlocks(prefixes: readonly Prefix[], nowMs: number, lifetime: number): CacheUse {
    const breakpoints = prefixes.flatMap(({ breakpoint }, index) => (breakpoint ? [index] : []));
    const known = prefixes.filter(
      ({ id }, index) => breakpoints.some((at) => index <= at && index >= at - lookback) && (this.#endsMs.get(id) ?? 0) > nowMs,
    );
    const read = known.at(-1)?.tokens ?? 0;
    const written = Math.max(0, (prefixes[breakpoints.at(-1) ?? -1]?.tokens ?? 0) - read);
    for (const prefix of [...known, ...breakpoints.flatMap((at) => prefixes[at] ?? [])]) this.#keep(prefix.id, nowMs + lifetime);
    return { read, written };
  }

  #keep(id: string, untilMs: number): void {
    this.#endsMs.delete(id);
    this.#endsMs.set(id, untilMs);
    const [oldest] = this.#endsMs.keys();
    if (this.#endsMs.size > keptPrompts && oldest !== undefined) this.#endsMs.delete(oldest);
  }
}

function prefixesOf(model: SimulatedModel, blocks: readonly Block[]): readonly Prefix[] {
  const hash = createHash('sha256').update(model.name);
  let tokens = 0;
  return blocks.map(({ text, breakpoint }) => {
    tokens += countTokens(text);
    return { id: hash.update(`\0${text}`).copy().digest('base64'), tokens, breakpoint };
  });
}
