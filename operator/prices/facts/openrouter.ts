import { anthropicFacts } from './anthropic.ts';
import { type Fact, factOf } from './fact.ts';
import { geminiFacts } from './gemini.ts';
import { mistralFacts } from './mistral.ts';
import { drawingGpts, openaiFacts } from './openai.ts';

/** Vendors of the prefix in `vendor/model`. */
const vendors: Readonly<Record<string, readonly Fact[]>> = {
  openai: openaiFacts,
  anthropic: anthropicFacts,
  google: geminiFacts,
  mistralai: mistralFacts,
};

/** What OpenRouter's and Perplexity's pages say of the models themselves. */
const own: readonly Fact[] = [
  // Perplexity's price page: a fee for each request, by the size of the search context; these are the largest
  // (docs.perplexity.ai/getting-started/pricing, by litellm 1.110.2).
  { models: /^perplexity\/sonar$/, fees: { request: 12 } },
  { models: /^perplexity\/sonar-(pro|reasoning|reasoning-pro)$|^sonar-reasoning/, fees: { request: 14 } },
  { models: /llama-3\.1-sonar.*-online/, fees: { request: 5 } },
  { models: /^openai\/gpt-4o-search-preview/, fees: { request: 35 } },
  { models: /^openai\/gpt-4o-mini-search-preview/, fees: { request: 30 } },
  // Models that draw, some of them unasked: the list names no price of pictures. These are their vendors' prices.
  { models: /-image/, isUnpriced: true },
  { models: /gemini-(2\.5-flash|3\.1-flash-lite)-image/, isUnpriced: false, rates: { outputImage: 30 } },
  { models: /gemini-3\.1-flash-image/, isUnpriced: false, rates: { outputImage: 60 } },
  { models: /gemini-3-pro-image/, isUnpriced: false, rates: { outputImage: 120 } },
  ...drawingGpts.map((fact) => ({ ...fact, models: new RegExp(`openai/${fact.models.source.slice(1)}`), isUnpriced: false })),
  // Any number of searches in each call, and nothing in a request limits them.
  { models: /deep-research/, isUnpriced: true },
  // Model cards: these reason in every call.
  { models: /(deepseek-r1|deepseek-reasoner|\/qwq-|-thinking|grok-4(?!.*non-reasoning)|\/sonar-reasoning)/, reasonsByDefault: true },
];

/** What is known of one model at OpenRouter. */
export function openrouterFact(id: string): Fact {
  const [vendor = '', ...rest] = id.replace(/^~/, '').split('/');
  const name = rest.join('/').replace(/:[a-z]+$/, '');
  // OpenRouter writes Claude's versions with a point.
  const spelled = vendor === 'anthropic' ? name.replaceAll('.', '-') : name;
  const { asText = [], reasonsByDefault = false } = factOf(vendors[vendor] ?? [], spelled);
  // Documents may go through a parser that costs by the page (openrouter.ai/docs/features/multimodal/pdfs).
  const vendorFact: Fact = { models: /^/, asText: asText.filter((modality) => modality !== 'document'), reasonsByDefault };
  return factOf([vendorFact, ...own], id);
}
