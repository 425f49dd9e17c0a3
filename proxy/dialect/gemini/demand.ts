import { isRefusal, type Refusal, refuse } from '../../../core/errors.ts';
import { type JsonObject, scalarText } from '../../../core/json.ts';
import { asObject, isGiven, readCount } from '../fields.ts';
import { addFee, addRounds, addStored, type Tally, unbounded } from '../tally.ts';
import { camelCase, type GeminiFields } from './fields.ts';
import { addAnything, countParts } from './parts.ts';

const maxChoices = 1024;
const cheapTiers = new Set(['', 'unspecified', 'standard', 'flex']);

/** Counts everything in a generateContent request that costs more than its text. */
export function countGenerate(tally: Tally, request: JsonObject, fields: GeminiFields): Refusal | null {
  for (const content of fields.list(request, 'contents')) countParts(tally, content, fields);
  countParts(tally, fields.object(request, 'systemInstruction'), fields);
  for (const tool of fields.list(request, 'tools')) {
    for (const [name, value] of Object.entries(tool))
      if (isGiven(value)) countTool(tally, camelCase(name), searchesImages(asObject(value), fields));
  }
  for (const stored of ['cachedContent', 'continuationToken']) if (isGiven(fields.get(request, stored))) addAnything(tally);
  countTier(tally, fields.get(request, 'serviceTier'));
  return countConfig(tally, fields.object(request, 'generationConfig'), fields);
}

function countTier(tally: Tally, tier: unknown): void {
  const name = scalarText(tier ?? '')
    .toLowerCase()
    .replace(/^service_tier_/, '');
  if (name === 'priority') tally.servings.add('priority');
  else if (!cheapTiers.has(name)) unbounded(tally, 'the price of this serviceTier is unknown');
}

function countConfig(tally: Tally, config: JsonObject | null, fields: GeminiFields): Refusal | null {
  for (const name of ['routingConfig', 'modelSelectionConfig', 'modelConfig']) {
    if (!isGiven(fields.get(config, name))) continue;
    return refuse('model_denied', `generationConfig.${name} could choose another model than the path names; leave it out.`);
  }
  const choices = readCount({ candidateCount: fields.get(config, 'candidateCount') }, 'candidateCount', maxChoices);
  if (isRefusal(choices)) return choices;
  tally.choices = choices ?? 1;
  if (['responseSchema', 'responseJsonSchema', 'responseMimeType'].some((name) => isGiven(fields.get(config, name))))
    tally.features.add('structuredOutput');
  countOutputs(tally, config, fields);
  return null;
}

/** Counts what the answer may be made of. A request that does not say text alone gets what the model makes by default. */
function countOutputs(tally: Tally, config: JsonObject | null, fields: GeminiFields): void {
  const modalities = modalitiesOf(fields.get(config, 'responseModalities'));
  const formats = isGiven(fields.get(config, 'responseFormat'));
  if (formats || modalities.includes('AUDIO')) tally.outputs.add('audio');
  if (formats || modalities.includes('IMAGE') || isGiven(fields.get(config, 'imageConfig'))) tally.outputs.add('image');
  tally.anyOutput = modalities.length === 0 || modalities.some((name) => !['TEXT', 'IMAGE', 'AUDIO'].includes(name));
}

/** Reads modalities as Google does: a single value counts as a list of one, and numbers name enum values. */
function modalitiesOf(given: unknown): readonly string[] {
  const names = new Map([
    ['1', 'TEXT'],
    ['2', 'IMAGE'],
    ['3', 'AUDIO'],
  ]);
  if (!isGiven(given)) return [];
  return (Array.isArray(given) ? given : [given]).map((value) => names.get(scalarText(value)) ?? scalarText(value).toUpperCase());
}

/**
 * Tools that search at the price of Google Search. Others (`enterpriseWebSearch`, `exaAiSearch`, `parallelAiSearch`) are "not supported in
 * Gemini API" (@google/genai, `Tool`), and the price page names no fee for them: they have no bound.
 */
const searchTools = new Set(['googleSearch', 'googleSearchRetrieval', 'googleMaps']);

/**
 * Searches in one call. Google states no limit: since Gemini 3 "your project is billed for each search query that the model decides to
 * execute" (ai.google.dev/gemini-api/docs/google-search), of which 4 to 7 were measured (docs.apiyi.com/en/api-capabilities/gemini/web-search).
 * Observed, not proved: a bill above it widens the bound of hosted tools.
 */
const maxSearches = 24;

/** Input tokens of search results. The same measurements found none, but some answers name tokens of tools. Observed, not proved. */
const searchResultTokens = 32_768;

/** "Predefined functions" of computer use, whose size is not published. */
const computerUseTokens = 4096;

/**
 * Runs of code in one call. After an error, the model "may decide to regenerate the code output. This can happen up to 5 times"
 * (ai.google.dev/gemini-api/docs/code-execution). No page limits runs that succeed: the figure is assumed for those. Each run reads the
 * request again with the result, of a size that only the context bounds.
 */
const codeRounds = 6;

/** True for a search that returns "image bytes" (@google/genai, `SearchTypes`), in any number. */
function searchesImages(tool: JsonObject | null, fields: GeminiFields): boolean {
  return isGiven(fields.get(fields.object(tool, 'searchTypes'), 'imageSearch'));
}

function countTool(tally: Tally, name: string, withImages: boolean): void {
  if (name === 'functionDeclarations') tally.features.add('tools');
  else if (name === 'computerUse') {
    tally.features.add('tools');
    tally.textTokens += computerUseTokens;
  } else if (searchTools.has(name)) {
    tally.features.add('hostedTools');
    addFee(tally, 'webSearch', maxSearches);
    addFee(tally, 'groundedPrompt', 1);
    if (name === 'googleMaps') addFee(tally, 'mapsPrompt', 1);
    tally.textTokens += searchResultTokens;
    if (withImages) addStored(tally, 'text', 'image');
  } else if (name === 'urlContext' || name === 'fileSearch') {
    // What they retrieve is billed as input: ai.google.dev/gemini-api/docs/url-context, /file-search
    tally.features.add('hostedTools');
    addStored(tally, 'text', 'image', 'document');
  } else if (name === 'codeExecution') addRounds(tally, codeRounds, null);
  else unbounded(tally, `the tool ${name.slice(0, 60)} runs at the provider without a limit on its cost`);
}
