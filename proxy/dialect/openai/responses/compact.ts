import { isRefusal, type Refusal } from '../../../../core/errors.ts';
import type { JsonObject } from '../../../../core/json.ts';
import type { Tally } from '../../tally.ts';
import type { Dialect } from '../../types.ts';
import { openaiResponses, readResponse } from './responses.ts';

/** Compaction runs no tools: it only shows the model their descriptions. */
function countShownTools(tally: Tally, tools: readonly JsonObject[]): Refusal | null {
  if (tools.length > 0) tally.features.add('tools');
  return null;
}

/**
 * OpenAI's `POST /v1/responses/compact`: one summary of the input, metered as a response. The request has no field for an output
 * limit (openai 7.55, responses.d.ts), so the model's own bounds the summary.
 */
export const openaiCompact: Dialect = {
  ...openaiResponses,
  id: 'openai.compact',
  generates: false,
  read(body, _action, headers) {
    const facts = readResponse(body, headers, countShownTools);
    if (isRefusal(facts)) return facts;
    const { demand, ...rest } = facts;
    return { ...rest, maxOutputTokens: undefined, demand: { ...demand, anyOutput: false, summaries: (demand.summaries ?? 0) + 1 } };
  },
};
