import type { ProviderKind } from './types.ts';

/** Base URL of each provider, without the path's version; null where every customer has one of its own. */
export const defaultEndpoints: Readonly<Record<ProviderKind, string | null>> = {
  OpenAI: 'https://api.openai.com',
  Anthropic: 'https://api.anthropic.com',
  Gemini: 'https://generativelanguage.googleapis.com',
  AzureOpenAI: null,
  Vertex: null,
  Bedrock: null,
  Mistral: 'https://api.mistral.ai',
  OpenRouter: 'https://openrouter.ai/api',
  OpenAICompatible: null,
};

/** Named by the contract, not served yet. */
export const unserved: ReadonlySet<ProviderKind> = new Set<ProviderKind>(['Vertex', 'Bedrock']);
