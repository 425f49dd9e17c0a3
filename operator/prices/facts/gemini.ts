import type { Fact, Part } from './fact.ts';

/** What Google's page says beside the lists (ai.google.dev/gemini-api/docs/pricing). */
export const geminiFacts: readonly Fact[] = [
  // One price for "text / image / video"; the page has a price of its own for audio. PDFs are treated as pictures of
  // their pages (cloud.google.com, document understanding). "There's no additional charge for enabling code execution".
  { models: /^gemini-(?!embedding)/, asText: ['image', 'video', 'document'], fees: { container: 0 } },
  // One price for all input: the page names no other for audio ("$0.30 (text / image / video / audio)", Gemini 3.5 Flash-Lite).
  {
    models: /^gemini-(2\.5-pro|3(\.1)?-pro-preview|3\.5-flash|3\.5-flash-lite|3\.[678]-flash)$/,
    asText: ['image', 'video', 'document', 'audio'],
  },
  // The output of these is speech, and text goes in.
  { models: /-tts$/, asText: [], speaks: true },
  { models: /live/, asText: [] },
  { models: /^gemini-3\.[678]-flash-live$/, isUnpriced: true },
  // litellm 1.110.2; the lists take the model for the one without speech.
  { models: /^gemini-3\.8-flash-tts$/, rates: { output: 9, cachedInput: 0.125 } },
  // Grounding with Google Search: $35 per 1,000 grounded prompts before Gemini 3, $14 per 1,000 searches since.
  // With Google Maps: $25 per 1,000 grounded prompts before, $14 since (BerriAI/litellm#38418).
  { models: /^gemini-([12]\.|flash-1|pro-1)/, fees: { groundedPrompt: 35, mapsPrompt: 25 } },
  { models: /^gemini-[3-9]/, fees: { webSearch: 14, mapsPrompt: 14 } },
  // Flex and priority, by litellm 1.110.2. The percent is that of the dearest class: some models have no lower price for cached input.
  { models: /^gemini-(2\.5-(pro|flash|flash-lite)|3-flash-preview|3\.1-pro-preview)$/, percent: { flex: 100, priority: 180 } },
  { models: /^gemini-(2\.5-flash-image|3-pro-image-preview|3\.1-flash-lite|3\.[678]-flash)$/, percent: { flex: 50, priority: 180 } },
  { models: /^gemini-3\.5-flash$/, percent: { flex: 54, priority: 180 } },
  { models: /^gemini-3\.5-flash-lite$/, percent: { flex: 67, priority: 180 } },
  // ai.google.dev/gemini-api/docs/thinking: 2.5 Pro, 2.5 Flash and Gemini 3 think unless told otherwise. The default of Lite models is
  // no or minimal thinking.
  { models: /^gemini-(2\.5-(pro|flash)|[3-9])/, reasonsByDefault: true },
  { models: /lite|tts|live|flash-image/, reasonsByDefault: false },
  { models: /^gemini-(3\.8-flash|3\.7-flash)$/, maxOutputTokens: 65_535 },
  { models: /^gemini-(2\.5-flash-image|3-pro-image-preview|3\.1-flash-image-preview)$/, maxOutputTokens: 32_768 },
];

/** Parts of listed entries that have other facts. */
export const geminiParts: readonly Part[] = [
  // The lists take any name that begins so for the model itself. Neither names a price for these.
  ...['gemini-3.6-flash', 'gemini-3.7-flash', 'gemini-3.8-flash'].map((of): Part => {
    return { id: `${of}-live`, of, names: /-(live|audio|image|transcribe|lite(?!-tts))/ };
  }),
  { id: 'gemini-3.8-flash-tts', of: 'gemini-3.8-flash', names: /^gemini-3\.8-flash(-lite)?-tts/ },
];
