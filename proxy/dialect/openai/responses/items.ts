import { isRefusal, type Refusal } from '../../../../core/errors.ts';
import { isObject, type JsonObject } from '../../../../core/json.ts';
import { asString, badField, isGiven } from '../../fields.ts';
import { addStored, type Tally, unbounded } from '../../tally.ts';
import { countContent, countPart, countResult, countUnknown } from '../parts.ts';

const textItems = new Set([
  'function_call',
  'custom_tool_call',
  'code_interpreter_call',
  'computer_call',
  'local_shell_call',
  'local_shell_call_output',
  'shell_call',
  'shell_call_output',
  'apply_patch_call',
  'apply_patch_call_output',
  'mcp_list_tools',
  'mcp_call',
  'mcp_approval_request',
  'mcp_approval_response',
  'tool_search_call',
  'configuration_update',
  'program',
  'program_output',
  'compaction',
  'compaction_summary',
  'multi_agent_call',
]);

/** The provider keeps what these refer to, or may read it again. */
const storedItems = new Set(['item_reference', 'file_search_call', 'web_search_call']);

/** Counts the media of one input item of Responses. Returns the tools that it adds. */
function countItem(tally: Tally, item: JsonObject): readonly JsonObject[] | Refusal {
  const type = asString(item['type']) ?? (isGiven(item['type']) ? '' : 'message');
  if (type === 'additional_tools' || type === 'tool_search_output') return toolsOf(item['tools']);
  return countMedia(tally, type, item) ?? [];
}

function toolsOf(tools: unknown): readonly JsonObject[] | Refusal {
  if (!isGiven(tools)) return [];
  return Array.isArray(tools) && tools.every(isObject) ? tools : badField('tools', 'an array of objects');
}

function countMedia(tally: Tally, type: string, item: JsonObject): Refusal | null {
  if (textItems.has(type)) return null;
  if (storedItems.has(type)) {
    addStored(tally, 'text', 'image', 'document');
    return null;
  }
  switch (type) {
    case 'message':
    case 'agent_message':
      return countContent(tally, item['content'], 'input');
    case 'computer_call_output':
    case 'function_call_output':
    case 'custom_tool_call_output':
    case 'multi_agent_call_output':
      return countOutput(tally, item['output']);
    case 'reasoning':
      // Without encrypted content, the provider looks it up by its id.
      if (typeof item['encrypted_content'] !== 'string') tally.thoughts += 1;
      return null;
    case 'context_compaction':
      if (typeof item['encrypted_content'] !== 'string') addStored(tally, 'text');
      return null;
    case 'image_generation_call':
      countResult(tally, item['result']);
      return null;
    case 'compaction_trigger':
      tally.summaries += 1;
      return null;
    default:
      countUnknown(tally);
      return null;
  }
}

/** The output of a computer is one picture, not a list. */
function countOutput(tally: Tally, output: unknown): Refusal | null {
  if (!isObject(output)) return countContent(tally, output, 'input');
  countPart(tally, output);
  return null;
}

/** Counts the items of an input. Returns the tools that they add. */
export function countItems(tally: Tally, items: readonly JsonObject[]): readonly JsonObject[] | Refusal {
  const tools: JsonObject[] = [];
  // "Must be the final input item" (openai 7.55, responses.d.ts): the answer is then one summary of a single reading.
  if (items.slice(0, -1).some((item) => item['type'] === 'compaction_trigger'))
    unbounded(tally, 'a compaction_trigger that is not the last input item may make the model read its input again');
  for (const item of items) {
    const added = countItem(tally, item);
    if (isRefusal(added)) return added;
    tools.push(...added);
  }
  return tools;
}
