import { isRefusal, type Refusal, refuse } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/json.ts';
import {
  asArray,
  asObject,
  asString,
  badField,
  firstRefusal,
  isGiven,
  named,
  readCount,
  refuseShapes,
  type Shapes,
  shapesOf,
} from '../fields.ts';
import type { JsonBody } from '../json.ts';
import { countImagePayload, countInline } from '../media.ts';
import { addFee, addPicture, addRounds, addStored, startTally, type Tally, unbounded } from '../tally.ts';

/**
 * Anthropic’s own loop over server tools stops with `pause_turn` after this many rounds
 * (platform.claude.com/docs/en/agents-and-tools/tool-use/server-tools). A use that `max_uses` refuses is a round too.
 */
const maxRounds = 10;

/**
 * Input tokens of one search’s results. Anthropic states no limit; recorded searches add about 10,000. Observed, not proved:
 * a bill above it widens the bound of hosted tools.
 */
const searchResultTokens = 50_000;

/** The schemas of the fields that price or policy read (anthropic-sdk-typescript, src/resources/beta/messages/messages.ts). */
const shapes: Shapes = shapesOf({
  system: 'text or an array of objects',
  messages: 'an array of objects',
  tools: 'an array of objects',
  mcp_servers: 'an array of objects',
  thinking: 'an object',
  output_config: 'an object',
  output_format: 'an object',
  tool_choice: 'an object',
  container: 'text or an object',
  context_management: 'an object',
  compaction: 'an object',
  cache_control: 'an object',
  thread: 'an object',
  speed: 'text',
  inference_geo: 'text',
  service_tier: 'text',
});

/** Counts everything in a Messages request that costs more than its text, or refuses the request. */
export function countMessages(body: JsonBody): Tally | Refusal {
  const { value } = body;
  const tally = startTally(body.tokens);
  const added: unknown[] = [];
  const refusal =
    refuseShapes(value, shapes) ??
    countContent(tally, added, 'system', value['system']) ??
    firstRefusal(asArray(value['messages']), (message) => countContent(tally, added, 'messages.content', asObject(message)?.['content'])) ??
    countTools(tally, asArray(value['tools']), true) ??
    countTools(tally, added, false);
  if (refusal !== null) return refusal;
  noteCache(tally, value);
  countOptions(tally, value);
  if (asArray(value['tools']).some(makesCodeFree)) tally.fees.container = 0;
  return tally;
}

function countOptions(tally: Tally, value: JsonObject): void {
  if (asArray(value['mcp_servers']).length > 0) addLoop(tally, null, maxRounds);
  if (isGiven(value['thread'])) addStored(tally, 'text', 'image', 'document');
  // A container given by its id may be used by code execution, which counts its own session.
  if (isGiven(value['container'])) addFee(tally, 'container', 1);
  // The descriptions of skills become input, whose size the request does not say.
  if (asArray(asObject(value['container'])?.['skills']).length > 0) addStored(tally, 'text');
  if (isGiven(value['speed']) && value['speed'] !== 'standard') countSpeed(tally, value['speed']);
  countGeography(tally, value['inference_geo']);
  const tier = value['service_tier'];
  // Priority capacity is bought in advance: platform.claude.com/docs/en/api/service-tiers
  if (isGiven(tier) && tier !== 'auto' && tier !== 'standard_only') unbounded(tally, 'the price of this service_tier is unknown');
  if (isGiven(asObject(value['output_config'])?.['format']) || isGiven(value['output_format'])) tally.features.add('structuredOutput');
  const edits = asArray(asObject(value['context_management'])?.['edits']).map(asObject);
  const compactions = edits.filter((edit) => asString(edit?.['type'])?.startsWith('clear_') !== true);
  if (compactions.some((edit) => canReach(tally, thresholdOf(edit)))) addSummary(tally);
  // The answer to this is the summary alone.
  if (isGiven(value['compaction'])) tally.summaries += 1;
}

/** Without a geography the workspace decides (platform.claude.com/docs/en/build-with-claude/data-residency). */
function countGeography(tally: Tally, geography: unknown): void {
  if (!isGiven(geography)) tally.anyPlace = true;
  else if (geography === 'us') tally.servings.add('us');
  else if (geography !== 'global') unbounded(tally, 'the price of this inference_geo is unknown');
}

function countSpeed(tally: Tally, speed: unknown): void {
  if (speed === 'fast') tally.servings.add('fast');
  else unbounded(tally, 'the price of this speed is unknown');
}

/**
 * Counts compaction: the model reads everything once more and writes a summary, which `max_tokens` does not limit, and which is
 * billed as an iteration of its own (platform.claude.com/docs/en/build-with-claude/compaction-threshold). Once before the
 * answer, and once more in each round of server tools, which read more than the threshold of 50,000 tokens again.
 */
function addSummary(tally: Tally): void {
  const rounds = tally.inputReads;
  tally.summaries += rounds;
  tally.inputReads += rounds;
}

/** Compaction starts at 150,000 input tokens unless the request says another number, and never below 50,000. */
const leastThreshold = 50_000;
/** More than Anthropic adds to a request beyond its bytes: descriptions of its own tools. */
const threshold = { default: 150_000, margin: 16_384, perPicture: 8192 };

function thresholdOf(edit: JsonObject | null): number {
  const trigger = edit?.['trigger'];
  if (!isGiven(trigger)) return threshold.default;
  const value = asObject(trigger)?.['value'];
  return typeof value === 'number' ? Math.max(value, leastThreshold) : leastThreshold;
}

/** True if the input may have this many tokens: content of unknown size or results of server tools may make it as large as the context. */
function canReach({ textTokens, pictures, stored, inputReads }: Tally, tokens: number): boolean {
  if (stored.size > 0 || inputReads > 1) return true;
  return textTokens + pictures.length * threshold.perPicture + threshold.margin >= tokens;
}

function noteCache(tally: Tally, holder: JsonObject | null): void {
  const control = asObject(holder?.['cache_control']);
  if (control === null) return;
  if (control['ttl'] === '1h') tally.cacheWrite = '1h';
  else if (tally.cacheWrite === 'none') tally.cacheWrite = '5m';
}

/** Blocks that cost their own text. */
const textBlocks = new Set([
  'text',
  'thinking',
  'redacted_thinking',
  'tool_use',
  'server_tool_use',
  'mcp_tool_use',
  'tool_reference',
  'web_search_tool_result',
  'web_search_result',
  'code_execution_tool_result',
  'bash_code_execution_tool_result',
  'text_editor_code_execution_tool_result',
  'tool_search_tool_result',
  'tool_removal',
  'mcp_tool_listing',
  'browser_state',
  'fallback',
]);

/** Counts the content of a message or result: text, or blocks. The tools that blocks add go to `added`. */
function countContent(tally: Tally, added: unknown[], name: string, content: unknown): Refusal | null {
  if (!isGiven(content) || typeof content === 'string') return null;
  if (!Array.isArray(content)) return badField(name, 'text or an array of objects');
  return firstRefusal(content, (entry: unknown) => {
    const block = asObject(entry);
    return block === null ? badField(name, 'text or an array of objects') : countBlock(tally, added, block);
  });
}

function countBlock(tally: Tally, added: unknown[], block: JsonObject): Refusal | null {
  noteCache(tally, block);
  const type = asString(block['type']) ?? '';
  if (textBlocks.has(type)) return null;
  switch (type) {
    case 'image':
      countImage(tally, asObject(block['source']));
      return null;
    case 'document':
      return countDocument(tally, added, asObject(block['source']));
    case 'search_result':
    case 'tool_result':
    case 'mcp_tool_result':
      return countContent(tally, added, `${type}.content`, block['content']);
    case 'web_fetch_tool_result': {
      const fetched = asObject(asObject(block['content'])?.['content']);
      return fetched === null ? null : countBlock(tally, added, fetched);
    }
    case 'tool_addition':
      countAddition(tally, added, asObject(block['tool']));
      return null;
    case 'compaction':
      return countContent(tally, added, 'compaction.tool_changes', block['tool_changes']);
    default:
      // Uploads to a container, and blocks that KeyForge does not know but the provider may.
      addStored(tally, 'text', 'image', 'document');
      return null;
  }
}

/** Counts a tool that a block adds: by a definition, or by the name of one that the request's `tools` define already. */
function countAddition(tally: Tally, added: unknown[], tool: JsonObject | null): void {
  const definition = tool?.['definition'];
  if (isGiven(definition)) added.push(definition);
  else if (tool?.['type'] !== 'tool_reference') addStored(tally, 'text', 'image', 'document');
}

function countImage(tally: Tally, source: JsonObject | null): void {
  const data = source?.['data'];
  if (typeof data === 'string') countImagePayload(tally, data);
  else addPicture(tally, null);
}

/** Counts plain text and nested blocks as such. A PDF by bytes, URL or id has no bound except the context: its bytes are compressed. */
function countDocument(tally: Tally, added: unknown[], source: JsonObject | null): Refusal | null {
  tally.features.add('document');
  switch (source?.['type']) {
    case 'text':
      return null;
    case 'content':
      return countContent(tally, added, 'source.content', source['content']);
    case 'base64':
      if (typeof source['data'] === 'string') countInline(tally, 'application/pdf', source['data']);
      else addStored(tally, 'document');
      return null;
    default:
      addStored(tally, 'document');
      return null;
  }
}

/**
 * Client tools that Anthropic describes itself, and the most tokens of such a description: bash 325, the text editor 700, "computer
 * use" 735 and 499 of system prompt, its toolset 4,590, and the browser toolset 6,670 with 880 of optional members
 * (platform.claude.com/docs/en/about-claude/pricing#specific-tool-pricing); with a margin, which is wide for the memory
 * tool, as its figure is not published.
 */
const builtInTokens = new Map([
  ['bash', 512],
  ['text_editor', 1024],
  ['computer', 1536],
  ['memory', 4096],
  ['computer_toolset', 6144],
  ['browser_toolset', 9216],
]);

/** The tokens of a tool that Anthropic describes itself; undefined: it does not, or the tool runs there. */
function descriptionOf(type: string): number | undefined {
  return builtInTokens.get(/^([a-z_]+)_\d{8}$/.exec(type)?.[1] ?? '');
}

/**
 * True for web tools from the version on that runs code to filter results: with one of them, "there are no additional charges for
 * code execution" (platform.claude.com/docs/en/agents-and-tools/tool-use/code-execution-tool).
 */
function makesCodeFree(tool: unknown): boolean {
  const version = /^web_(?:search|fetch)_(\d{8})$/.exec(asString(asObject(tool)?.['type']) ?? '')?.[1];
  return Number(version) >= 20_260_209;
}

/** True for a search tool without a limit, or with a higher one. KeyForge can set a limit if the tool is at the top of the request. */
export function isSearchAbove(tool: JsonObject, limit: number): boolean {
  if (asString(tool['type'])?.startsWith('web_search_') !== true) return false;
  const uses = tool['max_uses'];
  return typeof uses === 'number' ? uses > limit : !isGiven(uses);
}

/** `isTop`: a limit of calls can be set in these tools. */
function countTools(tally: Tally, tools: readonly unknown[], isTop: boolean): Refusal | null {
  if (tools.length > 0) tally.features.add('tools');
  return firstRefusal(tools, (entry) => {
    const tool = asObject(entry);
    if (tool === null) return badField('tools', 'an array of objects');
    noteCache(tally, tool);
    const type = asString(tool['type']) ?? 'custom';
    if (type === 'custom') return null;
    const description = descriptionOf(type);
    if (description !== undefined) {
      tally.textTokens += description;
      return null;
    }
    if (isGiven(tool['model'])) {
      const model = named(tool['model'], 100);
      return refuse('model_denied', `The tool ${type.slice(0, 60)} names a model of its own, ${model}; only \`model\` may choose one.`);
    }
    if (isTop && isSearchAbove(tool, Number.POSITIVE_INFINITY)) openSearch(tally);
    else return countServerTool(tally, type, tool, isTop);
    return null;
  });
}

function countServerTool(tally: Tally, type: string, tool: JsonObject, isTop: boolean): Refusal | null {
  const uses = readCount(tool, 'max_uses');
  if (isRefusal(uses)) return uses;
  if (type.startsWith('web_search_')) {
    addFee(tally, 'webSearch', uses ?? null);
    addLoop(tally, searchResultTokens, uses ?? maxRounds);
    if (isTop && uses !== undefined) limitSearch(tally, uses);
  } else if (type.startsWith('web_fetch_')) {
    const most = readCount(tool, 'max_content_tokens');
    if (isRefusal(most)) return most;
    // Anthropic calls this limit approximate, and exempts PDFs. Observed, not proved: a bill above it widens the bound of hosted tools.
    addLoop(tally, most ?? null, uses ?? maxRounds);
  } else if (type.startsWith('tool_search_tool_')) {
    // It adds definitions that are in the request, which its bytes bound already.
    addLoop(tally, 0, 0);
  } else if (type === 'mcp_toolset') {
    addLoop(tally, null, maxRounds);
  } else if (type.startsWith('code_execution_')) {
    addFee(tally, 'container', 1);
    addLoop(tally, null, maxRounds);
  } else {
    unbounded(tally, `the tool ${named(type, 60)} runs at the provider without a limit on its cost`);
  }
  return null;
}

function openSearch(tally: Tally): void {
  addLoop(tally, searchResultTokens, 0);
  const tools = (tally.openCalls?.tools ?? 0) + 1;
  tally.openCalls = { fees: ['webSearch'], tools, maxReads: maxRounds + 1 };
}

function limitSearch(tally: Tally, uses: number): void {
  const { most = 0, calls = 0, tools = 0 } = tally.givenCalls ?? {};
  tally.givenCalls = {
    ...{ fees: ['webSearch'], tools: tools + 1, maxReads: maxRounds + 1, reads: 0 },
    ...{ most: Math.max(most, uses), calls: calls + uses },
  };
}

/** Counts a server tool: all of them share one loop, and each of its rounds reads the whole input again. `tokensEach` null: unknown. */
function addLoop(tally: Tally, tokensEach: number | null, uses: number): void {
  addRounds(tally, Math.max(0, maxRounds + 1 - tally.inputReads), tokensEach);
  tally.toolResults = (Number.isFinite(tally.toolResults) ? tally.toolResults : 0) + uses;
}
