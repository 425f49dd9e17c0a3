import type { ProviderKind } from '../../../core/manifest/providers.ts';
import { anthropicFacts } from './anthropic.ts';
import { type Fact, factOf, type Part } from './fact.ts';
import { geminiFacts, geminiParts } from './gemini.ts';
import { mistralFacts, mistralParts } from './mistral.ts';
import { azureFacts, openaiFacts, openaiParts } from './openai.ts';
import { openrouterFact } from './openrouter.ts';

/** What a provider's pages add to the lists. */
interface ProviderFacts {
  of(id: string): Fact;
  readonly parts?: readonly Part[];
  /** True for a host with prices of its own; absent: there is none. */
  isRegional?(host: string): boolean;
}

function oneList(facts: readonly Fact[]): ProviderFacts {
  return { of: (id) => factOf(facts, id) };
}

const table: Readonly<Partial<Record<ProviderKind, ProviderFacts>>> = {
  OpenAI: {
    of: (id) => factOf(openaiFacts, id),
    parts: openaiParts,
    // Data controls guide: `eu.api.openai.com`, `us.api.openai.com` and others; the host is that of the project's region.
    isRegional: (host) => host.endsWith('.api.openai.com'),
  },
  AzureOpenAI: { of: (id) => factOf(azureFacts, id), parts: openaiParts },
  Anthropic: oneList(anthropicFacts),
  Gemini: { ...oneList(geminiFacts), parts: geminiParts },
  Vertex: { of: (id) => factOf(id.startsWith('claude') ? anthropicFacts : geminiFacts, id) },
  Mistral: { ...oneList(mistralFacts), parts: mistralParts },
  OpenRouter: { of: openrouterFact },
};

const nothing = oneList([]);

/** The facts of a provider; none for one whose pages add nothing. */
export function factsOf(provider: ProviderKind): ProviderFacts {
  return table[provider] ?? nothing;
}
