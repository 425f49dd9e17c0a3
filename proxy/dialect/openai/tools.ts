import { type Refusal, refuse } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/json.ts';
import { asArray, asObject, asString, isGiven } from '../fields.ts';
import { addFee, addRounds, type Tally, unbounded } from '../tally.ts';

/** The caller runs these tools: they cost only the text that describes them. */
const clientTools = new Set(['function', 'custom', 'computer', 'computer_use_preview', 'local_shell', 'apply_patch']);

/** The context limit of web search, for every model (OpenAI’s guide to web search). */
const searchContextTokens = 128_000;

/**
 * Counts what hosted tools of the Responses API may cost. Each call reads the input again, with a result of unknown
 * size. Refuses a tool that names a model of its own.
 */
export function countHostedTools(tally: Tally, tools: readonly unknown[], toolCalls: number | null): Refusal | null {
  let hosted = false;
  for (const entry of tools) {
    const tool = asObject(entry);
    const type = asString(tool?.['type']) ?? '';
    if (tool === null || clientTools.has(type)) continue;
    if (type === 'namespace') {
      const refusal = countHostedTools(tally, asArray(tool['tools']), toolCalls);
      if (refusal !== null) return refusal;
      continue;
    }
    if (typeof tool['model'] === 'string') {
      return refuse(
        'model_denied',
        `The tool ${type} names a model of its own, ${JSON.stringify(tool['model']).slice(0, 100)}; only \`model\` may choose one.`,
      );
    }
    hosted = countHosted(tally, type, tool, toolCalls) || hosted;
  }
  if (!hosted) return null;
  addRounds(tally, toolCalls ?? 0, null);
  return null;
}

/** Counts a tool; returns true if the provider runs it. */
function countHosted(tally: Tally, type: string, tool: JsonObject, toolCalls: number | null): boolean {
  if (/^web_search(_preview)?(_\d[\d_]*)?$/.test(type)) {
    countSearch(tally, tool, toolCalls);
    return true;
  }
  if (type === 'tool_search' && tool['execution'] === 'client') return false;
  if (type === 'shell' && asObject(tool['environment'])?.['type'] === 'local') return false;
  switch (type) {
    case 'tool_search':
    case 'mcp':
      break;
    case 'shell':
      unbounded(tally, 'a hosted shell is billed by the session');
      return true;
    case 'file_search':
      unbounded(tally, 'file search is billed by the call');
      return true;
    case 'code_interpreter':
      unbounded(tally, 'code interpreter is billed by the session');
      return true;
    case 'image_generation':
      tally.outputs.add('image');
      unbounded(tally, 'image generation is billed in addition to the output');
      return true;
    default:
      unbounded(tally, `the tool ${JSON.stringify(type).slice(0, 60)} runs at the provider without a limit on its cost`);
      return true;
  }
  if (toolCalls === null) unbounded(tally, `the tool ${type} runs at the provider; set max_tool_calls`);
  return true;
}

/** Counts web search. Without `max_tool_calls` the offer is open, as in every call of Codex. */
function countSearch(tally: Tally, tool: JsonObject, toolCalls: number | null): void {
  const budget = tool['return_token_budget'];
  addRounds(tally, 0, !isGiven(budget) || budget === 'default' ? searchContextTokens : null);
  const fee = tool['type'] === 'web_search' ? 'webSearch' : 'webSearchPreview';
  if (toolCalls === null) tally.openSearches = { fee, tools: 1, maxReads: Number.POSITIVE_INFINITY };
  else addFee(tally, fee, toolCalls);
}
