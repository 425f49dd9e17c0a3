import type { Answer } from './types.ts';

/**
 * How a call goes wrong.
 * Answers with a status are what the provider of that family really sends. `billed` (default true): whether a
 * call that broke off was generated, and so invoiced, all the same.
 */
export type Fault =
  | { readonly kind: 'rate_limited'; readonly retryAfterSeconds?: number }
  | { readonly kind: 'insufficient_quota' }
  | { readonly kind: 'unauthorized' }
  | { readonly kind: 'billing' }
  | { readonly kind: 'overloaded' }
  | { readonly kind: 'server_error' }
  | { readonly kind: 'bad_gateway' }
  | { readonly kind: 'redirect'; readonly location: string }
  | { readonly kind: 'answer'; readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly body: string | Buffer }
  | { readonly kind: 'hang_before_headers'; readonly billed?: boolean }
  | { readonly kind: 'reset_before_headers'; readonly billed?: boolean }
  | { readonly kind: 'hang_mid_stream'; readonly afterFrames: number; readonly billed?: boolean }
  | { readonly kind: 'reset_mid_stream'; readonly afterFrames: number; readonly billed?: boolean }
  | { readonly kind: 'cut_mid_stream'; readonly afterFrames: number; readonly billed?: boolean }
  | { readonly kind: 'error_event'; readonly afterFrames: number; readonly billed?: boolean };

/** Those that begin as a success. */
export type StreamFault = Extract<Fault, { readonly afterFrames: number }>;

/** How a call that succeeds is delivered. */
export interface Conditions {
  /** Pause before each token of a stream; before the headers otherwise: this many milliseconds a token. */
  readonly msPerToken?: number;
  /** Cuts the body into chunks at pseudo-random bytes; the seed makes it repeatable. */
  readonly chunkSeed?: number;
  /** Leaves out the usage. */
  readonly noUsage?: boolean;
  /** Produce this many tokens, within the output limit. */
  readonly outputTokens?: number;
  /** Think this many tokens first, within the budget of thoughts and the output limit. */
  readonly thinkingTokens?: number;
  /** Milliseconds before the first byte of an answer, which is billed by then. */
  readonly delayMs?: number;
  /** Say exactly this. */
  readonly text?: string;
  /** Call this tool, whatever the prompt. */
  readonly toolCall?: Answer['toolCall'];
}

/** Applies to calls that fit all that is named; the newest rule that fits wins. */
export interface Rule {
  readonly credential?: string;
  readonly model?: string;
  /** Beginning of the request's path. */
  readonly path?: string;
  /** How many calls; default: until removed. */
  readonly times?: number;
  readonly fault?: Fault;
  readonly conditions?: Conditions;
}

/** The rules in force. */
export interface Rules {
  /** Adds a rule; returns how to take it back. */
  add(rule: Rule): () => void;
  /** The rule for one call, counted as used. */
  take(call: { readonly credential: string; readonly model: string | undefined; readonly path: string }): Rule | undefined;
  clear(): void;
}

/** No rules yet. */
export function openRules(): Rules {
  let rules: { readonly rule: Rule; left: number }[] = [];
  return {
    add(rule) {
      const held = { rule, left: rule.times ?? Number.POSITIVE_INFINITY };
      rules = [held, ...rules];
      return () => {
        rules = rules.filter((other) => other !== held);
      };
    },
    take(call) {
      const found = rules.find(({ rule, left }) => left > 0 && fits(rule, call));
      if (found !== undefined) found.left -= 1;
      return found?.rule;
    },
    clear() {
      rules = [];
    },
  };
}

function fits(rule: Rule, call: { readonly credential: string; readonly model: string | undefined; readonly path: string }): boolean {
  if (rule.credential !== undefined && rule.credential !== call.credential) return false;
  if (rule.model !== undefined && rule.model !== call.model) return false;
  return rule.path === undefined || call.path.startsWith(rule.path);
}
