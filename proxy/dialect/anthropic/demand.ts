import { type Refusal, refuse } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/json.ts';
import { asArray, asObject, asString, isGiven } from '../fields.ts';
import type { JsonBody } from '../json.ts';
import { countImagePayload, countInline } from '../media.ts';
import { addFee, addPicture, addRounds, addStored, startTally, type Tally, unbounded } from '../tally.ts';

/** Anthropic’s own loop over server tools stops with `pause_turn` after this many rounds. */
const maxRounds = 10;

/** Counts everything in a Messages request that costs more than its text, or refuses the request. */
export function countMessages(body: JsonBody): Tally | Refusal {
  const { value } = body;
  const tally = startTally(body.tokens);
  const tools: unknown[] = [];
  noteCache(tally, value);
  for (const block of asArray(value['system'])) noteCache(tally, asObject(block));
  for (const message of asArray(value['messages'])) tools.push(...countBlocks(tally, asObject(message)?.['content']));
  const refusal = countTools(tally, asArray(value['tools']), isOpenSearch) ?? countTools(tally, tools, () => false);
  if (refusal !== null) return refusal;
  countOptions(tally, value);
  return tally;
}

function countOptions(tally: Tally, value: JsonObject): void {
  if (asArray(value['mcp_servers']).length > 0) hosted(tally, maxRounds);
  if (asObject(value['thread']) !== null) addStored(tally, 'text', 'image', 'document');
  if (isGiven(value['container'])) unbounded(tally, 'a container is billed by the hour');
  if (isGiven(value['speed']) && value['speed'] !== 'standard') unbounded(tally, 'the fast speed costs more than the standard price');
  const geography = value['inference_geo'];
  if (isGiven(geography) && geography !== 'global') unbounded(tally, 'inference_geo costs more than the standard price');
  const tier = value['service_tier'];
  if (isGiven(tier) && tier !== 'auto' && tier !== 'standard_only')
    unbounded(tally, 'this service_tier may cost more than the standard price');
  const edits = asArray(asObject(value['context_management'])?.['edits']);
  const compacts = edits.some((edit) => asString(asObject(edit)?.['type'])?.startsWith('clear_') !== true);
  if (compacts || isGiven(value['compaction'])) unbounded(tally, 'compaction at the provider writes output beyond max_tokens');
}

function noteCache(tally: Tally, holder: JsonObject | null): void {
  const control = asObject(holder?.['cache_control']);
  if (control === null) return;
  if (control['ttl'] === '1h') tally.cacheWrite = '1h';
  else if (tally.cacheWrite === 'none') tally.cacheWrite = '5m';
}

/** Counts the blocks of a message or of a result; returns the tools that they add. */
function countBlocks(tally: Tally, content: unknown): readonly unknown[] {
  const tools: unknown[] = [];
  for (const entry of asArray(content)) {
    const block = asObject(entry);
    if (block === null) continue;
    noteCache(tally, block);
    switch (block['type']) {
      case 'image':
        countImage(tally, asObject(block['source']));
        break;
      case 'document':
        countDocument(tally, asObject(block['source']));
        break;
      case 'tool_result':
        tools.push(...countBlocks(tally, block['content']));
        break;
      case 'container_upload':
        unbounded(tally, 'a container is billed by the hour');
        break;
      case 'tool_addition':
        tools.push(asObject(block['tool'])?.['definition']);
        break;
      case 'compaction':
        tools.push(...countBlocks(tally, block['tool_changes']));
        break;
      default:
    }
  }
  return tools;
}

function countImage(tally: Tally, source: JsonObject | null): void {
  const data = source?.['data'];
  if (typeof data === 'string') countImagePayload(tally, data);
  else addPicture(tally, null);
}

/** Counts plain text and nested blocks as such. A PDF by bytes, URL or id has no bound except the context. */
function countDocument(tally: Tally, source: JsonObject | null): void {
  switch (source?.['type']) {
    case 'text':
      return;
    case 'content':
      countBlocks(tally, source['content']);
      return;
    case 'base64':
      if (typeof source['data'] === 'string') countInline(tally, 'application/pdf', source['data']);
      return;
    default:
      addStored(tally, 'document');
  }
}

const clientTool = /^(?:custom|(?:bash|text_editor|computer|memory|computer_toolset|browser_toolset)_\d{8})$/;

/** True for a search tool without a limit. KeyForge can set a limit if the tool is at the top of the request. */
export function isOpenSearch(tool: JsonObject): boolean {
  return asString(tool['type'])?.startsWith('web_search_') === true && !isGiven(tool['max_uses']);
}

function countTools(tally: Tally, tools: readonly unknown[], isOpen: (tool: JsonObject) => boolean): Refusal | null {
  for (const entry of tools) {
    const tool = asObject(entry);
    if (tool === null) continue;
    noteCache(tally, tool);
    const type = asString(tool['type']) ?? 'custom';
    if (clientTool.test(type)) continue;
    if (typeof tool['model'] === 'string') {
      return refuse(
        'model_denied',
        `The tool ${type.slice(0, 60)} names a model of its own, ${JSON.stringify(tool['model']).slice(0, 100)}; only \`model\` may choose one.`,
      );
    }
    if (isOpen(tool)) openSearch(tally);
    else countServerTool(tally, type, tool);
  }
  return null;
}

function countServerTool(tally: Tally, type: string, tool: JsonObject): void {
  const uses = tool['max_uses'];
  const max = typeof uses === 'number' && Number.isInteger(uses) && uses > 0 ? uses : null;
  hosted(tally, max ?? maxRounds);
  if (type.startsWith('web_search_')) addFee(tally, 'webSearch', max);
  else if (type.startsWith('code_execution_')) unbounded(tally, 'code execution is billed by the hour');
  else if (!/^(?:web_fetch_|tool_search_tool_|mcp_toolset$)/.test(type)) {
    unbounded(tally, `the tool ${JSON.stringify(type).slice(0, 60)} runs at the provider without a limit on its cost`);
  }
}

function openSearch(tally: Tally): void {
  addRounds(tally, 0, null);
  tally.openSearches = { fee: 'webSearch', tools: (tally.openSearches?.tools ?? 0) + 1, maxReads: maxRounds + 1 };
}

/** Counts rounds of a hosted tool: each reads the whole input again, with results of unknown size. */
function hosted(tally: Tally, rounds: number): void {
  addRounds(tally, Math.min(rounds, maxRounds + 1 - tally.inputReads), null);
}
