import { compose, inputTokens } from '../../simulator/answer.ts';
import { price } from '../../simulator/ledger.ts';
import { PromptCache } from '../../simulator/prompt-cache.ts';
import type { Prompt } from '../../simulator/types.ts';
import type { Margin, PlannedCall, Shape } from './types.ts';

/** With less room an answer says nothing. */
const speechTokens = 1024;
/** Anthropic's least budget of thoughts. */
const leastThinking = 1024;
/** The tokens themselves. */
export const exactly: Margin = { percent: 100, tokens: 0 };

/** What one call costs by its exact input tokens and a margin, each at the dearest class that the request allows. Dollars. */
export class CountedCall {
  readonly #shape: Shape;
  readonly #planned: PlannedCall;
  readonly #prompt: Prompt;
  readonly #inputUsd: number;
  readonly #outputUsd: number;

  constructor(shape: Shape, planned: PlannedCall, margin: Margin) {
    const prompt = shape.dialect.parse(planned.body, {});
    if ('badRequest' in prompt) throw new Error(prompt.badRequest);
    const { input, cacheWrite, output } = shape.model.price;
    this.#shape = shape;
    this.#planned = planned;
    this.#prompt = prompt;
    const tokens = Math.ceil((inputTokens(prompt) * margin.percent) / 100) + margin.tokens;
    this.#inputUsd = tokens * usd(prompt.cacheWrite === 'none' || cacheWrite === undefined ? input : cacheWrite);
    this.#outputUsd = usd(output);
  }

  /** With the lowest output limit that leaves room for an answer. */
  get floorUsd(): number {
    const thoughts = this.#prompt.thinkingBudget === undefined ? 0 : leastThinking;
    return this.#inputUsd + Math.min(this.#prompt.maxOutputTokens ?? Number.POSITIVE_INFINITY, thoughts + speechTokens) * this.#outputUsd;
  }

  /** With an output limit that lets the model say all that it wants to. */
  get wholeUsd(): number {
    return this.#inputUsd + (this.#planned.thinkingTokens + this.#planned.answerTokens) * this.#outputUsd;
  }

  /** What the provider bills for it, with this cache. */
  billedUsd(cache: PromptCache): number {
    const { model } = this.#shape;
    const { thinkingTokens, answerTokens } = this.#planned;
    const use = cache.use(model, this.#prompt, { inputTokens: inputTokens(this.#prompt), nowMs: 0 });
    const how = { id: '', createdSeconds: 0, text: undefined, cache: use, thinkingTokens, outputTokens: answerTokens };
    return Number(price(model, compose(this.#prompt, model, how).usage)) / 1e12;
  }
}

function usd(pico: bigint): number {
  return Number(pico) / 1e12;
}

/**
 * The best that any hard cap could do that knows a call's input tokens exactly, but not what the model will say: the share
 * of the cap that is billed before the first call that must be refused, or whose answer must be cut short. With a margin: the
 * best that it could do by counts that are so exact.
 */
export function oracleShare(
  { shape, calls, capUsd }: { readonly shape: Shape; readonly calls: Iterable<PlannedCall>; readonly capUsd: number },
  margin: Margin,
): number {
  const cache = new PromptCache();
  let billedUsd = 0;
  for (const planned of calls) {
    const call = new CountedCall(shape, planned, margin);
    const leftUsd = capUsd - billedUsd;
    if (call.floorUsd > leftUsd || call.wholeUsd > leftUsd) break;
    billedUsd += call.billedUsd(cache);
  }
  return billedUsd / capUsd;
}
