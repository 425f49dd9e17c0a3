import type { JsonObject } from '../../../core/json.ts';
import type { Usage } from '../../../core/price/types.ts';
import { asArray, asObject } from '../fields.ts';
import { tokens, withParts } from '../usage.ts';

/**
 * Usage from `usageMetadata` of Gemini and Vertex. The prompt includes cached tokens, but not tokens from tools; candidates
 * exclude thoughts. Null if it names no tokens (early chunks may hold only the traffic type).
 */
export function geminiUsage(metadata: JsonObject | null, webSearches: number): Usage | null {
  if (
    metadata === null ||
    !['promptTokenCount', 'candidatesTokenCount', 'totalTokenCount'].some((name) => typeof metadata[name] === 'number')
  )
    return null;
  const cachedInput = tokens(metadata, 'cachedContentTokenCount');
  const input = Math.max(0, tokens(metadata, 'promptTokenCount') - cachedInput) + tokens(metadata, 'toolUsePromptTokenCount');
  const output = tokens(metadata, 'candidatesTokenCount') + tokens(metadata, 'thoughtsTokenCount');
  const uncached = (modality: string): number =>
    Math.max(0, of(metadata, 'promptTokensDetails', modality) - of(metadata, 'cacheTokensDetails', modality)) +
    of(metadata, 'toolUsePromptTokensDetails', modality);
  const inputAudio = Math.min(uncached('AUDIO'), input);
  return withParts(
    { input, cachedInput, cacheWrite: 0, output, reasoning: tokens(metadata, 'thoughtsTokenCount') },
    {
      inputAudio,
      inputImage: Math.min(uncached('IMAGE'), input - inputAudio),
      cachedInputAudio: Math.min(of(metadata, 'cacheTokensDetails', 'AUDIO'), cachedInput),
      outputAudio: Math.min(of(metadata, 'candidatesTokensDetails', 'AUDIO'), output),
      outputImage: Math.min(of(metadata, 'candidatesTokensDetails', 'IMAGE'), output),
      ...(webSearches > 0 ? { fees: { webSearch: webSearches } } : {}),
    },
  );
}

function of(metadata: JsonObject, list: string, modality: string): number {
  return asArray(metadata[list])
    .map(asObject)
    .filter((detail) => detail?.['modality'] === modality)
    .reduce((sum, detail) => sum + tokens(detail, 'tokenCount'), 0);
}

/** Number of Google searches for one answer. */
export function geminiSearches(answer: JsonObject): number {
  return asArray(answer['candidates']).reduce<number>((sum, candidate) => {
    const grounding = asObject(asObject(candidate)?.['groundingMetadata']);
    return sum + asArray(grounding?.['webSearchQueries']).length;
  }, 0);
}
