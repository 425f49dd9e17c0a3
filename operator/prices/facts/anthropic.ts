import type { Fact } from './fact.ts';

/** What Anthropic's pages say beside the lists (platform.claude.com/docs/en/about-claude/pricing). */
export const anthropicFacts: readonly Fact[] = [
  {
    models: /^/,
    // Pictures become input tokens, and so do the text and the picture of each page of a PDF
    // (platform.claude.com/docs/en/build-with-claude/pdf-support).
    asText: ['image', 'document'],
    // "$10 per 1,000 searches"; "Web fetch usage has no additional charges". Code execution: "$0.05 per hour, per container", at least five
    // minutes. Assumed: the container of a call runs an hour at most. The free hours of an organisation are not counted.
    fees: { webSearch: 10, container: 50 },
  },
  // "Data residency pricing": `inference_geo: us` costs 1.1 times on Claude 4.6 and later; earlier models refuse the field
  // (BerriAI/litellm#38369).
  { models: /^claude-(opus-4-[6-9]|sonnet-4-[6-9]|(opus|sonnet|haiku|fable|mythos)-[5-9])/, percent: { us: 110 } },
  // Fast mode: $30 and $150 for Opus 4.6 and 4.7 (OpenRouter's pages of their `-fast` variants: "at premium 6x pricing"), twice the
  // standard since Opus 4.8 (litellm 1.110.2; OpenRouter: "at 2x pricing").
  { models: /^claude-opus-4-[67]/, percent: { fast: 600 } },
  { models: /^claude-opus-(4-8|5(-5)?)$/, percent: { fast: 200 } },
  // Models overview, by litellm 1.110.2 (`thinking_always_on`, `thinking_on_by_default`). Earlier models think if they are asked to.
  { models: /^claude-(fable|mythos|opus-[5-9]|sonnet-[5-9]|haiku-[5-9])/, reasonsByDefault: true },
  { models: /^claude-(fable-5-1|opus-5-5)$/, maxOutputTokens: 128_000 },
];
