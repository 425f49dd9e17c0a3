import type { Fact, Part } from './fact.ts';

// Figures that name no other source are those of developers.openai.com/api/docs/pricing, as the table of litellm 1.110.2 (PyPI)
// and public copies of the page had them on 2026-11-27.

/** Chat models that draw with an image model, at its price of pictures: gpt-image-1, its mini and gpt-image-2 on the page. */
export const drawingGpts: readonly Fact[] = [
  { models: /^gpt-5-image$/, rates: { outputImage: 40 } },
  { models: /^gpt-5-image-mini$/, rates: { outputImage: 8 } },
  { models: /^gpt-5\.4-image-2$/, rates: { outputImage: 30 } },
];

/** OpenAI's own hosts: what its price page says beside the lists. */
export const openaiFacts: readonly Fact[] = [
  {
    models: /^/,
    // Pictures become input tokens of the one price that these models have for input, unless the page names another. A PDF goes to
    // the model as its text and a picture of each page (developers.openai.com/docs/guides/pdf-files).
    asText: ['image', 'document'],
    // "1 GB $0.03, 4 GB $0.12, 16 GB $0.48, 64 GB $1.92 per 20-minute session per container": the fee is that of one GB, so that a
    // container of 4 GB counts as four. Assumed: each call of the tool begins one session at most.
    fees: { webSearch: 10, webSearchPreview: 25, fileSearch: 2.5, container: 30 },
    // "Regional processing": 10 % for models since 2026-03-05 (BerriAI/litellm#31136).
    regionalPercent: 110,
  },
  // The preview tool costs $25 per 1,000 searches with models that do not reason, and $10 with those that do.
  { models: /^(o\d|gpt-[5-9](?!.*chat)|codex)/, fees: { webSearchPreview: 10 } },
  {
    models: /^(ada|babbage|curie|davinci|text-|ft:|chatgpt|gpt-3|gpt-4|gpt-5(\.[0-3])?(-|$)|o\d|codex-mini|computer-use)/,
    regionalPercent: 100,
  },
  // These search in each call. The page says $25 per 1,000 calls; older lists say $35 at the default size of the search context, and
  // $30 at the largest with the mini model (earlier tables of litellm). The dearer applies. The fee of a request includes its search.
  { models: /^gpt-4o-search-preview/, fees: { request: 35, webSearch: 0, webSearchPreview: 0 } },
  { models: /^gpt-4o-mini-search-preview/, fees: { request: 30, webSearch: 0, webSearchPreview: 0 } },
  // Audio of the preview models, by litellm 1.110.2; the lists name their text only.
  { models: /^gpt-4o-audio-preview/, rates: { inputAudio: 40, outputAudio: 80 } },
  { models: /^gpt-4o-mini-audio-preview/, rates: { inputAudio: 10, outputAudio: 20 } },
  ...drawingGpts,
  // Neither names the price of the first snapshot.
  { models: /^gpt-4o-audio-preview-2024-10-01/, isUnpriced: true },

  // Priority processing: openai.com/api-priority-processing.
  {
    models: /^gpt-(5|5\.1|5\.2|5\.4|5\.4-mini|5\.6-(sol|terra|luna)|6-(astra|sol|luna))$|^gpt-5(\.[123])?-codex$|^gpt-4\.1-nano$/,
    percent: { priority: 200 },
  },
  { models: /^gpt-5-mini$/, percent: { priority: 180 } },
  { models: /^gpt-5\.5$/, percent: { priority: 250 } },
  { models: /^(gpt-4\.1|gpt-4\.1-mini|gpt-4o-2024-05-13|o3)$/, percent: { priority: 175 } },
  { models: /^gpt-4o$/, percent: { priority: 170 } },
  { models: /^gpt-4o-mini$/, percent: { priority: 167 } },
  { models: /^o4-mini$/, percent: { priority: 182 } },
  // Flex. The percent is that of the dearest class: the page rounds the cached input of two models up.
  {
    models: /^gpt-(5(-mini|-nano)?|5\.1|5\.2|5\.4-(mini|nano|pro)|5\.5|5\.5-pro|5\.6-(sol|terra|luna)|6-(astra|sol|luna))$|^o3$/,
    percent: { flex: 50 },
  },
  { models: /^gpt-5\.4$/, percent: { flex: 52 } },
  { models: /^o4-mini$/, percent: { flex: 51 } },

  // API reference, `reasoning_effort`: models before GPT-5.1 reason at medium effort unless told otherwise, GPT-5.1 does not. By
  // litellm 1.110.2 (`default_reasoning_effort`), neither do GPT-5.2 and 5.4.
  { models: /^(o\d|gpt-[5-9]|codex)/, reasonsByDefault: true },
  { models: /^gpt-5-chat|^gpt-5\.[124](-mini|-nano)?$|^gpt-5(\.4)?-image/, reasonsByDefault: false },
  { models: /^gpt-6-/, maxOutputTokens: 128_000 },
];

/** Parts of listed entries that have other facts. */
export const openaiParts: readonly Part[] = [
  { id: 'gpt-4o-mini-search-preview', of: 'gpt-4o-mini', names: /^gpt-4o-mini-search-preview/ },
  { id: 'gpt-4o-audio-preview-2024-10-01', of: 'gpt-4o-audio-preview', names: /^gpt-4o-audio-preview-2024-10-01/ },
  { id: 'gpt-5-chat-latest', of: 'gpt-5', names: /^gpt-5-chat/ },
  { id: 'gpt-5-codex', of: 'gpt-5', names: /^gpt-5-codex/ },
  { id: 'gpt-5.1-chat-latest', of: 'gpt-5.1', names: /^gpt-5[.-]1-chat/ },
  { id: 'gpt-5.1-codex', of: 'gpt-5.1', names: /^gpt-5[.-]1-codex/ },
  { id: 'gpt-5.2-chat-latest', of: 'gpt-5.2', names: /^gpt-5[.-]2-chat/ },
  { id: 'gpt-5.2-codex', of: 'gpt-5.2', names: /^gpt-5[.-]2-codex/ },
];

/**
 * Azure's deployments. Their prices for search tools and service tiers are unknown. Global deployments cost what OpenAI asks;
 * the endpoint does not tell Data Zone and regional deployments, which cost more.
 */
export const azureFacts: readonly Fact[] = [
  ...openaiFacts.map(({ models, asText, rates, reasonsByDefault, maxOutputTokens, isUnpriced }): Fact => {
    const kept = { asText, rates, reasonsByDefault, maxOutputTokens, isUnpriced };
    return { models, ...Object.fromEntries(Object.entries(kept).filter(([, value]) => value !== undefined)) };
  }),
  // litellm 1.110.2, azure/container ($0.033 a session) and the models that cost more at Azure.
  { models: /^/, fees: { container: 33 } },
  { models: /^gpt-4-turbo$/, rates: { input: 11, output: 33 } },
  { models: /^gpt-audio$/, rates: { inputAudio: 40, outputAudio: 80 } },
  { models: /^text-embedding-3-large$/, rates: { input: 0.143 } },
  { models: /^text-embedding-3-small$/, rates: { input: 0.022 } },
  { models: /^(ada|text-embedding-ada-002)$/, rates: { input: 0.11 } },
];
