import type { Fact, Part } from './fact.ts';

/** What Mistral's pages say beside the lists. */
export const mistralFacts: readonly Fact[] = [
  // docs.mistral.ai, vision: "the same pricing as input tokens per image". Nothing of the kind is said of audio and documents.
  { models: /^/, asText: ['image'] },
  // litellm 1.110.2, for today's model of these names.
  { models: /^magistral-medium$/, rates: { output: 7.5 } },
  { models: /^mistral-medium$/, rates: { cachedInput: 0.15 } },
  // docs.mistral.ai/capabilities/reasoning.
  { models: /^magistral/, reasonsByDefault: true },
];

/** Names that the two lists take for different models: only they get the dearer price. */
export const mistralParts: readonly Part[] = [
  { id: 'mistral-medium', of: 'mistral-medium-3-1', names: /^mistral-medium$/ },
  { id: 'mistral-large-latest', of: 'mistral-large', names: /^mistral-large-latest$/ },
  { id: 'mistral-large-2407', of: 'mistral-large', names: /^mistral-large-2407$/ },
];
