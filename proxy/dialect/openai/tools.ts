import { type Refusal, refuse } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/json.ts';
import type { Fee } from '../../../core/price/types.ts';
import { asObject, asString, badField, firstRefusal, isGiven, named } from '../fields.ts';
import { addFee, addRounds, addStored, type Tally, unbounded } from '../tally.ts';
import { sessionFees } from './containers.ts';
import { countCaching } from './parts.ts';

/** The caller runs these tools: they cost only the text that describes them. */
const clientTools = new Set(['function', 'custom', 'computer', 'computer_use_preview', 'local_shell', 'apply_patch']);

/** The context limit of web search, for every model (OpenAI’s guide to web search). */
const searchContextTokens = 128_000;

/** `max_num_results` is "between 1 and 50 inclusive", and a chunk has at most 4,096 tokens (OpenAI’s API reference). */
const maxResults = 50;
/** A quarter more for names of files and for another tokenizer. */
const resultTokens = 5120;

/** What each call of a tool that the provider runs may cost. */
interface HostedTool {
  /** One that is named twice is paid twice. */
  readonly fees: readonly Fee[];
  /** Bound of the tokens that a call adds to the input; null: unknown. */
  readonly tokens: number | null;
}

/**
 * Counts what hosted tools of the Responses API may cost. `toolCalls` limits the calls of all of them; null: the offer is open,
 * as in every call of Codex. Each call reads the input again. Refuses a tool that names a model of its own.
 */
export function countHostedTools(tally: Tally, tools: readonly JsonObject[], toolCalls: number | null): Refusal | null {
  const hosted: HostedTool[] = [];
  const refusal = collect(tally, tools, hosted);
  if (refusal !== null || hosted.length === 0) return refusal;
  for (const { tokens } of hosted) addRounds(tally, 0, tokens);
  tally.onlyPreviews = hosted.every((tool) => tool.fees.includes('webSearchPreview'));
  const fees = hosted.flatMap((tool) => tool.fees);
  const offers = { fees, tools: 1, maxReads: Number.POSITIVE_INFINITY };
  if (toolCalls === null) {
    tally.openCalls = offers;
    return null;
  }
  tally.givenCalls = { ...offers, most: toolCalls, calls: toolCalls, reads: toolCalls };
  tally.inputReads += toolCalls;
  for (const fee of fees) addFee(tally, fee, toolCalls);
  return null;
}

/** Collects the tools that the provider runs. */
function collect(tally: Tally, tools: readonly JsonObject[], hosted: HostedTool[]): Refusal | null {
  return firstRefusal(tools, (tool) => {
    countCaching(tally, tool['cache_control']);
    const type = asString(tool['type']) ?? '';
    if (clientTools.has(type)) {
      tally.features.add('tools');
      return null;
    }
    if (type === 'namespace') {
      const inner = tool['tools'];
      if (!Array.isArray(inner) || !inner.every((value) => asObject(value) !== null)) return badField('tools', 'an array of objects');
      return collect(tally, inner, hosted);
    }
    if (isGiven(tool['model'])) {
      return refuse(
        'model_denied',
        `The tool ${type.slice(0, 60)} names a model of its own, ${named(tool['model'], 100)}; only \`model\` may choose one.`,
      );
    }
    const found = hostedTool(tally, type, tool);
    if (found !== null) hosted.push(found);
    return null;
  });
}

/** What a call of this tool costs; null: the caller runs it, or its cost has no bound. */
function hostedTool(tally: Tally, type: string, tool: JsonObject): HostedTool | null {
  if (/^web_search(_preview)?(_\d[\d_]*)?$/.test(type)) return webSearch(tally, type, tool);
  switch (type) {
    case 'file_search':
      return { fees: ['fileSearch'], tokens: resultCount(tool['max_num_results']) * resultTokens };
    case 'code_interpreter':
      return containerTool(tally, type, tool['container']);
    case 'shell':
      return asObject(tool['environment'])?.['type'] === 'local' ? null : containerTool(tally, type, tool['environment']);
    case 'tool_search':
      // Its results are definitions, which the request holds itself or an MCP server gives.
      return tool['execution'] === 'client' ? null : { fees: [], tokens: tally.textTokens };
    case 'mcp':
      // The server's definitions of its tools come before the first reading.
      addStored(tally, 'text');
      return { fees: [], tokens: null };
    case 'image_generation':
      unbounded(tally, 'image generation is billed in addition to the output');
      return null;
    default:
      unbounded(tally, `the tool ${named(type, 60)} runs at the provider without a limit on its cost`);
      return null;
  }
}

function webSearch(tally: Tally, type: string, tool: JsonObject): HostedTool {
  const budget = tool['return_token_budget'];
  const isKnown = !isGiven(budget) || budget === 'default';
  if (Array.isArray(tool['search_content_types']) && tool['search_content_types'].includes('image')) addStored(tally, 'image');
  return { fees: [type.startsWith('web_search_preview') ? 'webSearchPreview' : 'webSearch'], tokens: isKnown ? searchContextTokens : null };
}

function resultCount(asked: unknown): number {
  return typeof asked === 'number' && asked >= 1 && asked < maxResults ? Math.ceil(asked) : maxResults;
}

/** Each call may find its container gone and start another. The output of code has no limit. */
function containerTool(tally: Tally, type: string, container: unknown): HostedTool | null {
  const sessions = sessionFees(container);
  if (sessions === null) {
    unbounded(tally, `the tool ${type} uses a container of unknown size; let the provider make one`);
    return null;
  }
  return { fees: Array.from({ length: sessions }, () => 'container' as const), tokens: null };
}
