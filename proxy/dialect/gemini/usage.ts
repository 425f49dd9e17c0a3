import { type JsonObject, scalarText } from '../../../core/json.ts';
import type { FeeCounts, Serving, Usage } from '../../../core/price/types.ts';
import { asArray, asObject } from '../fields.ts';
import { tokens, withParts } from '../usage.ts';

/** Google’s names of a way of serving that multiplies the price, of Vertex and of the Gemini API. */
const servings = new Map<unknown, Serving>([
  ['ON_DEMAND_PRIORITY', 'priority'],
  ['ON_DEMAND_FLEX', 'flex'],
  ['priority', 'priority'],
  ['flex', 'flex'],
]);

/**
 * Usage from `usageMetadata` of Gemini and Vertex. The prompt includes cached tokens, but not tokens from tools; candidates
 * exclude thoughts. Null if it names no tokens (early chunks may hold only the traffic type).
 */
export function geminiUsage(metadata: JsonObject | null, searches: ReadonlySet<string>): Usage | null {
  if (
    metadata === null ||
    !['promptTokenCount', 'candidatesTokenCount', 'totalTokenCount'].some((name) => typeof metadata[name] === 'number')
  )
    return null;
  const cachedInput = tokens(metadata, 'cachedContentTokenCount');
  const input = Math.max(0, tokens(metadata, 'promptTokenCount') - cachedInput) + tokens(metadata, 'toolUsePromptTokenCount');
  const output = tokens(metadata, 'candidatesTokenCount') + tokens(metadata, 'thoughtsTokenCount');
  const serving = servings.get(metadata['trafficType']) ?? servings.get(scalarText(metadata['serviceTier'] ?? '').toLowerCase());
  return withParts(
    { input, cachedInput, cacheWrite: 0, output, reasoning: tokens(metadata, 'thoughtsTokenCount') },
    {
      ...inputParts(metadata, input),
      cachedInputAudio: Math.min(of(metadata, 'cacheTokensDetails', 'AUDIO'), cachedInput),
      outputAudio: Math.min(of(metadata, 'candidatesTokensDetails', 'AUDIO'), output),
      outputImage: Math.min(of(metadata, 'candidatesTokensDetails', 'IMAGE'), output),
      ...(searches.size > 0 ? { fees: feesOf(searches) } : {}),
      ...(serving === undefined ? {} : { servings: [serving] }),
    },
  );
}

const byMaps = 'maps';

/** Maps have a price of their own, beside that of searches. */
function feesOf(searches: ReadonlySet<string>): FeeCounts {
  const maps = searches.has(byMaps) ? 1 : 0;
  const others = searches.size - maps;
  return { ...(others > 0 ? { webSearch: others, groundedPrompt: 1 } : {}), ...(maps > 0 ? { mapsPrompt: 1 } : {}) };
}

/** The modalities of the uncached input, together at most all of it. Embeddings write `promptTokenDetails` (googleapis/python-genai#2658). */
function inputParts(metadata: JsonObject, input: number): Pick<Usage, 'inputAudio' | 'inputImage' | 'inputVideo' | 'inputDocument'> {
  let left = input;
  const part = (modality: string): number => {
    const prompt = Math.max(of(metadata, 'promptTokensDetails', modality), of(metadata, 'promptTokenDetails', modality));
    const uncached = Math.max(0, prompt - of(metadata, 'cacheTokensDetails', modality));
    const counted = Math.min(left, uncached + of(metadata, 'toolUsePromptTokensDetails', modality));
    left -= counted;
    return counted;
  };
  return { inputAudio: part('AUDIO'), inputVideo: part('VIDEO'), inputImage: part('IMAGE'), inputDocument: part('DOCUMENT') };
}

function of(metadata: JsonObject, list: string, modality: string): number {
  return asArray(metadata[list])
    .map(asObject)
    .filter((detail) => detail?.['modality'] === modality)
    .reduce((sum, detail) => sum + tokens(detail, 'tokenCount'), 0);
}

/**
 * The searches that ground one answer, each once: Google bills unique queries, and empty ones not
 * (ai.google.dev/gemini-api/docs/google-search). Results from its maps name no query and count as one.
 */
export function geminiSearches(answer: JsonObject): ReadonlySet<string> {
  const grounding = asArray(answer['candidates']).map((candidate) => asObject(asObject(candidate)?.['groundingMetadata']));
  const queries = (list: string): readonly string[] =>
    grounding
      .flatMap((one) => asArray(one?.[list]))
      .filter((query) => typeof query === 'string' && query !== '')
      .map((query) => `${list} ${query}`);
  const chunks = grounding.flatMap((one) => asArray(one?.['groundingChunks']));
  const maps = chunks.some((chunk) => asObject(asObject(chunk)?.['maps']) !== null);
  return new Set([...queries('webSearchQueries'), ...queries('imageSearchQueries'), ...(maps ? [byMaps] : [])]);
}
