import fc from 'fast-check';
import { hostileText } from './texts.ts';

/** A chat request as templates get it: arguments of tool calls are parsed. */
export interface ChatRequest {
  readonly messages: readonly ChatMessage[];
  readonly tools?: readonly ChatTool[];
}

interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  readonly content: string;
  readonly tool_calls?: readonly ToolCall[];
  readonly tool_call_id?: string;
}

interface ToolCall {
  readonly id: string;
  readonly type: 'function';
  readonly function: { readonly name: string; readonly arguments: unknown };
}

export interface ChatTool {
  readonly type: 'function';
  readonly function: {
    readonly name: string;
    readonly description?: string;
    readonly parameters?: { readonly type: 'object'; readonly properties: Readonly<Record<string, ToolProperty>> };
  };
}

interface ToolProperty {
  readonly type: string;
  readonly description?: string;
  readonly enum?: readonly string[];
}

const name = fc.stringMatching(/^[a-zA-Z0-9_-]{1,64}$/);
const text = fc.oneof(fc.constant(''), fc.constant('Hi'), hostileText);

const property: fc.Arbitrary<ToolProperty> = fc.record(
  { type: fc.constantFrom('string', 'number'), description: text, enum: fc.array(text, { maxLength: 3 }), more: fc.jsonValue() },
  { requiredKeys: ['type'] },
);
const properties = fc.dictionary(fc.oneof(name, text), property, { maxKeys: 3 });
const parameters = fc.record({ type: fc.constant('object' as const), properties });
const tool: fc.Arbitrary<ChatTool> = fc.record({
  type: fc.constant('function' as const),
  function: fc.record({ name, description: text, parameters }, { requiredKeys: ['name'] }),
});

/** A question and its answer, with a call of a tool and its result between them where there are tools. */
function turn(withTools: boolean): fc.Arbitrary<readonly ChatMessage[]> {
  const call = fc.record({ name, arguments: fc.dictionary(text, fc.jsonValue(), { maxKeys: 2 }), result: text });
  return fc.tuple(text, text, withTools ? fc.option(call, { nil: null }) : fc.constant(null)).map(([question, answer, made]) => [
    { role: 'user', content: question },
    ...(made === null
      ? []
      : [
          {
            role: 'assistant',
            content: '',
            tool_calls: [{ id: 'abcdefgh1', type: 'function', function: { name: made.name, arguments: made.arguments } }],
          } as const,
          { role: 'tool', content: made.result, tool_call_id: 'abcdefgh1' } as const,
        ]),
    { role: 'assistant', content: answer },
  ]);
}

/** Requests of every shape that the templates take: roles alternate, the last is the user's. */
export function chatRequest(withTools: boolean): fc.Arbitrary<ChatRequest> {
  const system = fc.option(text, { nil: null });
  const tools = fc.array(tool, { minLength: 1, maxLength: 3 });
  return fc.tuple(system, fc.array(turn(withTools), { maxLength: 3 }), text, tools).map(([instructions, turns, question, offered]) => ({
    messages: [
      ...(instructions === null ? [] : [{ role: 'system', content: instructions } as const]),
      ...turns.flat(),
      { role: 'user', content: question },
    ],
    ...(withTools ? { tools: offered } : {}),
  }));
}

/** The shortest request, to which a template adds the most in proportion. */
export function shortestRequest(withTools: boolean): ChatRequest {
  const messages = [{ role: 'user', content: '' } as const];
  return withTools ? { messages, tools: [{ type: 'function', function: { name: 'a' } }] } : { messages };
}

/** The request as its caller sends it. */
export function bodyOf({ messages, tools }: ChatRequest): string {
  return JSON.stringify({ model: 'm', messages: messages.map(asSent), tools });
}

function asSent({ tool_calls: calls, ...message }: ChatMessage): object {
  if (calls === undefined) return message;
  const sent = calls.map((call) => ({ ...call, function: { ...call.function, arguments: JSON.stringify(call.function.arguments) } }));
  return { ...message, tool_calls: sent };
}
