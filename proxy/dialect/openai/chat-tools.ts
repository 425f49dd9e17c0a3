import type { JsonObject } from '../../../core/json.ts';
import { asArray, asObject, asString, isGiven, named } from '../fields.ts';
import { addFee, addRounds, type Tally, unbounded } from '../tally.ts';
import { countCaching } from './parts.ts';

/** Counts tools of chat completions. The caller runs functions and custom tools; the provider runs everything else, at unknown cost. */
export function countChatTools(tally: Tally, body: JsonObject): void {
  for (const entry of asArray(body['functions'])) {
    tally.features.add('tools');
    countCaching(tally, asObject(entry)?.['cache_control']);
  }
  for (const entry of asArray(body['tools'])) {
    const tool = asObject(entry);
    const type = tool?.['type'];
    countCaching(tally, tool?.['cache_control']);
    countCaching(tally, asObject(tool?.['function'])?.['cache_control']);
    if (type === 'function' || type === 'custom') tally.features.add('tools');
    else if (asString(type)?.includes('web_search') === true) countSearch(tally);
    else unbounded(tally, `the tool ${named(type ?? null, 60)} runs at the provider without a limit on its cost`);
  }
  if (isGiven(body['web_search_options'])) countSearch(tally);
}

/** Search in chat has no field for a limit: only models with a price for the whole request have a bound. It is the preview of web search. */
function countSearch(tally: Tally): void {
  addFee(tally, 'webSearch', null);
  addRounds(tally, 1, null);
  tally.onlyPreviews = true;
}
