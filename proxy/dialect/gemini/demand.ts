import { isRefusal, type Refusal, refuse } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/json.ts';
import { asObject, asString, isGiven, readCount } from '../fields.ts';
import { countInline } from '../media.ts';
import { addFee, addStored, type Tally, unbounded } from '../tally.ts';
import type { GeminiFields } from './fields.ts';

const maxChoices = 1024;
const cheapTiers = new Set(['', 'unspecified', 'standard', 'flex']);
const searchTools = new Set(['googleSearch', 'googleSearchRetrieval', 'enterpriseWebSearch', 'exaAiSearch', 'parallelAiSearch']);
const clientTools = new Set(['functionDeclarations', 'computerUse']);

/** Counts everything in a generateContent request that costs more than its text. */
export function countGenerate(tally: Tally, request: JsonObject, fields: GeminiFields): Refusal | null {
  for (const content of fields.list(request, 'contents')) countParts(tally, content, fields);
  countParts(tally, fields.get(request, 'systemInstruction'), fields);
  countTools(tally, request, fields);
  if (isGiven(fields.get(request, 'cachedContent'))) addStored(tally, 'text', 'image', 'audio', 'video', 'document');
  const tier = fields.get(request, 'serviceTier');
  if (
    isGiven(tier) &&
    !cheapTiers.has(
      String(tier)
        .toLowerCase()
        .replace(/^service_tier_/, ''),
    )
  ) {
    unbounded(tally, 'this serviceTier may cost more than the standard price');
  }
  return countConfig(tally, asObject(fields.get(request, 'generationConfig')), fields);
}

function countConfig(tally: Tally, config: JsonObject | null, fields: GeminiFields): Refusal | null {
  if (config === null) return null;
  for (const name of ['routingConfig', 'modelSelectionConfig', 'modelConfig']) {
    if (!isGiven(fields.get(config, name))) continue;
    return refuse('model_denied', `generationConfig.${name} could choose another model than the path names; leave it out.`);
  }
  const choices = readCount({ candidateCount: fields.get(config, 'candidateCount') }, 'candidateCount', maxChoices);
  if (isRefusal(choices)) return choices;
  tally.choices = choices ?? 1;
  const modalities = modalitiesOf(fields.get(config, 'responseModalities'));
  const formats = isGiven(fields.get(config, 'responseFormat'));
  if (formats || modalities.includes('AUDIO')) tally.outputs.add('audio');
  if (formats || modalities.includes('IMAGE') || isGiven(fields.get(config, 'imageConfig'))) tally.outputs.add('image');
  return null;
}

/** Reads modalities as Google does: a single value counts as a list of one, and numbers name enum values. */
function modalitiesOf(given: unknown): readonly string[] {
  const names = new Map([
    ['2', 'IMAGE'],
    ['3', 'AUDIO'],
  ]);
  return (Array.isArray(given) ? given : [given]).map((value) => names.get(String(value)) ?? String(value).toUpperCase());
}

function countTools(tally: Tally, request: JsonObject, fields: GeminiFields): void {
  for (const entry of fields.list(request, 'tools')) {
    for (const [key, value] of Object.entries(asObject(entry) ?? {})) {
      if (!isGiven(value)) continue;
      const name = key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
      if (clientTools.has(name)) continue;
      addStored(tally, 'text');
      if (searchTools.has(name)) addFee(tally, 'webSearch', null);
      else unbounded(tally, `the tool ${name.slice(0, 60)} runs at the provider without a limit on its cost`);
    }
  }
}

/** Counts the media in a Content’s parts. */
export function countParts(tally: Tally, content: unknown, fields: GeminiFields): void {
  for (const entry of fields.list(asObject(content), 'parts')) {
    const part = asObject(entry);
    if (part === null) continue;
    countMedia(tally, part, fields);
    const response = asObject(fields.get(part, 'functionResponse'));
    for (const inner of fields.list(response, 'parts')) countMedia(tally, asObject(inner), fields);
  }
}

function countMedia(tally: Tally, part: JsonObject | null, fields: GeminiFields): void {
  if (isGiven(fields.get(part, 'fileData'))) addStored(tally, 'text', 'image', 'audio', 'video', 'document');
  const inline = asObject(fields.get(part, 'inlineData'));
  if (inline === null) return;
  const data = asString(inline['data']);
  if (data !== null) countInline(tally, asString(fields.get(inline, 'mimeType')) ?? '', data);
}
