import type { ProviderKind } from '../../core/manifest/providers.ts';
import type { DialectId } from '../dialect/types.ts';
import { anthropic } from './anthropic.ts';
import { azureOpenAi } from './azure-openai.ts';
import { gemini } from './gemini.ts';
import { mistral } from './mistral.ts';
import { openAi } from './openai.ts';
import { openAiCompatible } from './openai-compatible.ts';
import { openRouter } from './openrouter.ts';
import type { Provider } from './types.ts';

const table: Readonly<Record<ProviderKind, Provider | null>> = {
  OpenAI: openAi,
  Anthropic: anthropic,
  Gemini: gemini,
  AzureOpenAI: azureOpenAi,
  Mistral: mistral,
  OpenRouter: openRouter,
  OpenAICompatible: openAiCompatible,
  Vertex: null,
  Bedrock: null,
};

/** The provider of a kind; null for those that KeyForge cannot call yet (Vertex, Bedrock). */
export function providerOf(kind: ProviderKind): Provider | null {
  return table[kind];
}

/** The path of a call at its provider, below the pool's endpoint; null if the provider does not speak the dialect natively. */
export function upstreamPath(
  provider: Provider,
  call: { readonly dialect: DialectId; readonly model: string; readonly stream: boolean },
): string | null {
  const path = provider.paths[call.dialect];
  if (path === undefined) return null;
  const template = call.stream ? (path.stream ?? path.json) : path.json;
  // A function, so that `$&` in a model's name is not a pattern.
  return template.includes('{model}') ? template.replace('{model}', () => encodeURIComponent(call.model)) : template;
}
