import { isRefusal, type Refusal } from '../../../core/errors.ts';
import { type JsonObject, scalarText } from '../../../core/json.ts';
import type { Effort, Thinking } from '../../../core/price/output-limit.ts';
import { asArray, asObject, asString, type FieldShapes, isGiven, named, readCount } from '../fields.ts';
import { type Edit, maxPriceEdit } from '../splice.ts';
import { type Tally, unbounded } from '../tally.ts';
import type { Changes } from '../types.ts';
import { countCaching } from './parts.ts';

/** The governing fields that chat completions and Responses share. */
export const sharedShapes: FieldShapes = {
  tools: 'an array of objects',
  service_tier: 'text',
  modalities: 'an array of texts',
  reasoning: 'an object',
  prompt_cache_retention: 'text',
  prompt_cache_options: 'an object',
  cache_control: 'an object',
  plugins: 'an array of objects',
  provider: 'an object',
  chat_template_kwargs: 'an object',
  safe_prompt: 'true or false',
};

// The price of the standard tier is the highest of these.
const cheapTiers = new Set(['auto', 'default', 'standard', 'flex', 'batch']);

// "The response will show service_tier=priority regardless of if you specify service_tier=fast or priority" (openai 7.55, responses.d.ts).
const priorityTiers = new Set(['priority', 'fast']);

/** More bytes than Mistral's prompt of `safe_prompt` has: docs.mistral.ai/capabilities/guardrailing. */
const safePromptTokens = 256;

/** Counts the fields that chat completions and Responses share. */
export function countShared(tally: Tally, body: JsonObject): void {
  countCacheWrites(tally, body);
  countTier(tally, body['service_tier']);
  countModalities(tally, asArray(body['modalities']));
  countTemplate(tally, asObject(body['chat_template_kwargs']) ?? {});
  if (Array.isArray(body['plugins']) && body['plugins'].length > 0)
    unbounded(tally, 'plugins run at the provider without a limit on their cost');
  const mode = asObject(body['reasoning'])?.['mode'];
  if (isGiven(mode) && mode !== 'standard') unbounded(tally, `reasoning.mode ${named(mode, 40)} may compute more than one answer`);
  if (body['safe_prompt'] === true) tally.textTokens += safePromptTokens;
}

/** Newer models bill cache writes that the request did not ask for. The longer lifetimes may cost more. */
function countCacheWrites(tally: Tally, body: JsonObject): void {
  if (tally.cacheWrite === 'none') tally.cacheWrite = '5m';
  countCaching(tally, body['cache_control']);
  const ttl = asObject(body['prompt_cache_options'])?.['ttl'];
  if (body['prompt_cache_retention'] === '24h' || (isGiven(ttl) && ttl !== '30m')) tally.cacheWrite = '1h';
}

function countTier(tally: Tally, tier: unknown): void {
  if (!isGiven(tier) || cheapTiers.has(scalarText(tier))) return;
  if (priorityTiers.has(scalarText(tier))) tally.servings.add('priority');
  else unbounded(tally, `service_tier ${named(tier, 40)} may cost more than the standard price`);
}

/** Some models answer with pictures or audio although the request does not ask for it. */
function countModalities(tally: Tally, modalities: readonly unknown[]): void {
  tally.anyOutput = modalities.length === 0;
  for (const modality of modalities) {
    if (modality === 'audio' || modality === 'image') tally.outputs.add(modality);
    else if (modality !== 'text') unbounded(tally, `the price of ${named(modality, 40)} as output is unknown`);
  }
}

/** Counts the settings of a server's own chat template: switches are free, but a template may repeat text. */
function countTemplate(tally: Tally, settings: JsonObject): void {
  const text = Object.keys(settings).find((name) => isGiven(settings[name]) && !['boolean', 'number'].includes(typeof settings[name]));
  if (text !== undefined) unbounded(tally, `chat_template_kwargs.${text.slice(0, 40)} may be repeated by the template any number of times`);
}

const efforts: ReadonlySet<string> = new Set<Effort>(['minimal', 'low', 'medium', 'high', 'xhigh', 'max']);

/** The least budget of thoughts: openrouter.ai/docs/use-cases/reasoning-tokens. */
const leastThinkingTokens = 1024;

/** Reads how much the answer may think; undefined: the request does not say. `effort`: the field outside `reasoning`. */
export function readThinking(body: JsonObject, effort: unknown): { readonly thinking?: Thinking } | Refusal {
  const reasoning = asObject(body['reasoning']) ?? {};
  const tokens = readCount(reasoning, 'max_tokens');
  if (isRefusal(tokens)) return tokens;
  const asked = asString(effort) ?? asString(reasoning['effort']) ?? '';
  if (asked === 'none' || reasoning['enabled'] === false) return { thinking: { kind: 'off' } };
  if (tokens !== undefined) return { thinking: { kind: 'budget', tokens, leastTokens: leastThinkingTokens } };
  return isEffort(asked) ? { thinking: { kind: 'effort', effort: asked } } : {};
}

function isEffort(value: string): value is Effort {
  return efforts.has(value);
}

/** The edits that all dialects of this API share. */
export function sharedEdits(body: JsonObject, changes: Changes): Edit[] {
  const edits: Edit[] = [];
  if (changes.model !== undefined) edits.push({ path: ['model'], value: changes.model });
  if (changes.maxPrice !== undefined) edits.push(maxPriceEdit(body, changes.maxPrice));
  return edits;
}

const standardTier: Edit = { path: ['service_tier'], value: 'default' };

/** The edits of dialects that generate. */
export function generatingEdits(body: JsonObject, changes: Changes): Edit[] {
  const edits = sharedEdits(body, changes);
  const tier = body['service_tier'];
  if (changes.standardTier === true && (!isGiven(tier) || tier === 'auto')) edits.push(standardTier);
  if (changes.thinkingTokens !== undefined) edits.push({ path: ['reasoning', 'max_tokens'], value: changes.thinkingTokens });
  return edits;
}
