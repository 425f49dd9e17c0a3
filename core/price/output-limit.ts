import { least } from '../money.ts';

/** From least to most; providers name a part of them. */
export type Effort = 'minimal' | 'low' | 'medium' | 'high' | 'xhigh' | 'max';

/** How much an answer may think before it speaks, as far as the request says. */
export type Thinking =
  | { readonly kind: 'off' }
  /** A limit in tokens, and the least that the provider takes. */
  | { readonly kind: 'budget'; readonly tokens: number; readonly leastTokens: number }
  | { readonly kind: 'effort'; readonly effort: Effort };

/** The output limits of one call, ascending. */
export interface OutputLimits {
  /** With less the call is refused: an answer would end before it says anything. */
  readonly floor: number;
  /** Nobody notices a limit from here on, so a call does not wait for more. */
  readonly preferred: number;
  /** What caller, policy and model allow. */
  readonly max: number;
}

interface OutputRequest {
  /** The caller's own limit; absent: none. */
  readonly asked?: number | undefined;
  /** The lowest limit of policy and model; absent: none. */
  readonly ceiling?: number | undefined;
  /** Absent: the request does not say. */
  readonly thinking?: Thinking | undefined;
  /** True if a model thinks although the request does not ask for it. */
  readonly reasonsByDefault: boolean;
  /** True if the caller would rather be refused than have its limit lowered. */
  readonly exact: boolean;
  /** If neither caller nor ceiling names a limit. */
  readonly fallback: number;
}

/** The least room that an answer needs. */
const speechTokens = 1024;
/** The least room of a model that decides itself how much it thinks. */
const thoughtfulTokens = 8192;
/** Few answers are longer than this beside their thoughts. */
const ampleTokens = 8192;

/**
 * Tokens that models think at each effort. Google maps its efforts to these budgets
 * (ai.google.dev/gemini-api/docs/openai#thinking); beyond `high` there is no published figure, so half more and twice as much.
 */
const allowances: Readonly<Record<Effort, number>> = { minimal: 1024, low: 1024, medium: 8192, high: 24_576, xhigh: 36_864, max: 49_152 };

/** Tokens of thought to allow for, with the least to which they can be lowered. */
function thoughtOf({ thinking, reasonsByDefault }: Pick<OutputRequest, 'thinking' | 'reasonsByDefault'>): {
  readonly leastTokens: number;
  readonly tokens: number;
  readonly decidesItself: boolean;
} {
  if (thinking?.kind === 'budget')
    return { ...thinking, leastTokens: Math.min(thinking.leastTokens, thinking.tokens), decidesItself: false };
  const effort = thinking?.kind === 'effort' ? thinking.effort : reasonsByDefault && thinking === undefined ? 'medium' : null;
  if (effort === null) return { leastTokens: 0, tokens: 0, decidesItself: false };
  return { leastTokens: allowances[effort], tokens: allowances[effort], decidesItself: true };
}

/** The limits within which a call may be sent; null if it must not be lowered and exceeds the ceiling. */
export function outputLimits(request: OutputRequest): OutputLimits | null {
  const { asked, ceiling, exact, fallback } = request;
  const max = least(asked, ceiling) ?? fallback;
  if (exact && asked !== undefined) return max < asked ? null : { floor: asked, preferred: asked, max: asked };
  const { leastTokens, tokens, decidesItself } = thoughtOf(request);
  const floor = Math.max(leastTokens + speechTokens, decidesItself ? thoughtfulTokens : 0);
  const ample = Math.max(tokens + ampleTokens, floor);
  return { floor: Math.min(max, floor), preferred: Math.min(max, ample), max };
}

/** The budget of thinking that leaves room to speak under this output limit; undefined: the request's own budget does. */
export function thinkingWithin(thinking: Thinking | undefined, outputTokens: number): number | undefined {
  if (thinking?.kind !== 'budget' || thinking.tokens + speechTokens <= outputTokens) return undefined;
  const lowered = Math.max(thinking.leastTokens, outputTokens - speechTokens);
  return lowered < thinking.tokens ? lowered : undefined;
}
