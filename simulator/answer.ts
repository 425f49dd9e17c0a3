import { schemaInstance } from './schema-instance.ts';
import { countTokens, tokenise } from './tokens.ts';
import type { Answer, CacheUse, Json, Prompt, SimulatedModel, SimulatedUsage } from './types.ts';

/** What may bend an answer. */
interface Composition {
  readonly id: string;
  readonly createdSeconds: number;
  readonly cache: CacheUse;
  /** Exactly what to say instead of the default; undefined: the default. */
  readonly text: string | undefined;
  /** Call this tool, whatever the prompt; undefined: the default. */
  readonly toolCall?: Answer['toolCall'];
  /** Produce this many tokens of text, whatever the prompt. */
  readonly outputTokens: number | undefined;
  /** Think this many tokens first, whatever the prompt; undefined: as the model does. */
  readonly thinkingTokens: number | undefined;
}

/** What the simulated model answers: the same to the same prompt, never over the output limit. */
export function compose(prompt: Prompt, model: SimulatedModel, how: Composition): Answer {
  const limit = Math.min(prompt.maxOutputTokens ?? Number.POSITIVE_INFINITY, model.maxOutputTokens ?? 4096);
  const thoughts = Math.min(prompt.thinkingBudget ?? Number.POSITIVE_INFINITY, how.thinkingTokens ?? model.reasoningTokens ?? 0);
  const reasoning = Math.min(thoughts, Math.max(0, limit - 1));
  const room = limit - reasoning;
  const called = toolCall(prompt, how);
  const toolTokens = called === undefined ? 0 : countTokens(called.name) + countTokens(JSON.stringify(called.arguments));
  const whole = called === undefined ? sayings(prompt, how, room) : [];
  const cut = called === undefined ? whole.length > room : toolTokens > room;
  const pieces = whole.slice(0, room);
  const spoken = called !== undefined && !cut ? toolTokens : Math.min(room, Math.max(pieces.length, toolTokens));
  return {
    id: how.id,
    model: model.name,
    pieces,
    toolCall: cut ? undefined : called,
    finish: cut ? 'length' : called === undefined ? 'stop' : 'tool',
    thinks: prompt.thinkingBudget !== undefined && reasoning > 0,
    choices: prompt.choices,
    usage: usage(prompt, how.cache, { output: (spoken + reasoning) * prompt.choices, reasoning: reasoning * prompt.choices }),
    createdSeconds: how.createdSeconds,
  };
}

function toolCall(prompt: Prompt, how: Composition): Answer['toolCall'] {
  if (how.toolCall !== undefined) return how.toolCall;
  if (prompt.tools.length === 0 || prompt.toolChoice === 'none' || prompt.afterTool || how.text !== undefined) return undefined;
  const named = typeof prompt.toolChoice === 'object' ? prompt.toolChoice.name : undefined;
  const wanted = prompt.tools.find((tool) => tool.name === named) ?? prompt.tools.find((tool) => prompt.text.includes(tool.name));
  const tool = wanted ?? (prompt.toolChoice === 'required' || /\btool\b/i.test(prompt.text) ? prompt.tools[0] : undefined);
  return tool === undefined ? undefined : { name: tool.name, arguments: schemaInstance(tool.schema) as Json };
}

function sayings(prompt: Prompt, how: Composition, room: number): readonly string[] {
  if (how.outputTokens !== undefined) return Array.from({ length: Math.min(how.outputTokens, room + 1) }, () => ' word');
  if (how.text !== undefined) return tokenise(how.text);
  if (prompt.schema !== undefined)
    return tokenise(JSON.stringify(prompt.schema === true ? { answer: 'text' } : schemaInstance(prompt.schema)));
  const excerpt = prompt.text.replace(/\s+/g, ' ').trim().slice(0, 60);
  return tokenise(`You asked: "${excerpt}". This answer is simulated: it streams and is billed like a real one, and costs nothing.`);
}

/** Tokens of a prompt: those of its text and a few for its frame. */
export function inputTokens(prompt: Prompt): number {
  return countTokens(prompt.everything) + 3;
}

function usage(prompt: Prompt, { read, written }: CacheUse, said: { readonly output: number; readonly reasoning: number }): SimulatedUsage {
  return {
    input: inputTokens(prompt),
    cachedInput: read,
    cacheWrite: written,
    cacheWrite1h: prompt.cacheWrite === '1h' ? written : 0,
    output: said.output,
    reasoning: said.reasoning,
  };
}
