import { anthropicMessages } from '../../simulator/dialect/anthropic.ts';
import { openaiChat } from '../../simulator/dialect/openai-chat.ts';
import type { Json, SimulatedModel } from '../../simulator/types.ts';
import { Random } from './random.ts';
import type { Plan, Shape } from './types.ts';

/** Sonnet's list price: $3 and $15 a million tokens, $0.30 read from and $3.75 written to the cache. */
const sonnet: SimulatedModel = {
  name: 'claude-sonnet-4-5',
  family: 'anthropic',
  price: { input: 3_000_000n, cachedInput: 300_000n, cacheWrite: 3_750_000n, cacheWrite1h: 6_000_000n, output: 15_000_000n },
  maxOutputTokens: 64_000,
};

/** A model that does not reason: $2 and $8 a million tokens. */
const gpt: SimulatedModel = {
  name: 'gpt-4.1',
  family: 'openai',
  price: { input: 2_000_000n, cachedInput: 500_000n, output: 8_000_000n },
  maxOutputTokens: 32_768,
};

const answers = { median: 600, least: 200, most: 6000 };
const margins = { anthropic: { percent: 105, tokens: 64 }, openai: { percent: 104, tokens: 32 } };
const cached = { cache_control: { type: 'ephemeral' } };

function marked(seed: number, turn: number): string {
  return `[turn ${turn} of agent ${seed}]`;
}

function tool(name: string, description: string, fields: readonly string[]): Json {
  const properties = Object.fromEntries(fields.map((field) => [field, { type: 'string' }]));
  return { name, description, input_schema: { type: 'object', properties, required: fields } };
}

/** Leaves the breakpoints where Claude Code has them: the end of this turn and of the user's turn before. */
function withBreakpoints(messages: readonly { readonly role: string; readonly content: readonly Json[] }[]): readonly Json[] {
  const users = messages.flatMap(({ role }, index) => (role === 'user' ? [index] : []));
  const marks = new Set(users.slice(-2));
  return messages.map((message, index) =>
    marks.has(index) ? { ...message, content: [...message.content.slice(0, -1), { ...message.content.at(-1), ...cached }] } : message,
  );
}

/**
 * Streams with thinking and caching on, and asks for 32,000 tokens. Its context grows from 20 kB to 150 kB with each answer
 * and the result of its tool; then it is compacted.
 */
function* codingPlan(seed: number): Plan {
  const random = new Random(seed);
  const budget = random.pick([4000, 10_000, 16_000]);
  const tools = [
    tool('Bash', random.text(3000), ['command', 'description']),
    tool('Read', random.text(1500), ['file_path']),
    tool('Edit', random.text(2000), ['file_path', 'old_string', 'new_string']),
  ];
  const system = [{ type: 'text', text: random.text(10_000), ...cached }];
  const compacted = (): { role: string; content: Json[] }[] => [{ role: 'user', content: [{ type: 'text', text: random.text(3000) }] }];
  let messages = compacted();
  for (let turn = 0; ; turn += 1) {
    const marker = marked(seed, turn);
    messages.at(-1)?.content.push({ type: 'text', text: `<system-reminder>${marker}</system-reminder>` });
    const thinkingTokens = random.heavy({ median: 700, least: 50, most: budget });
    const answerTokens = random.heavy(answers);
    yield {
      marker,
      thinkingTokens,
      answerTokens,
      body: {
        model: sonnet.name,
        max_tokens: 32_000,
        stream: true,
        thinking: { type: 'enabled', budget_tokens: budget },
        system,
        tools,
        messages: withBreakpoints(messages),
      },
    };
    const id = `toolu_${seed}_${turn}`;
    const use = { type: 'tool_use', id, name: random.pick(['Bash', 'Read', 'Edit']), input: { command: random.text(80) } };
    const result = { type: 'tool_result', tool_use_id: id, content: random.text(random.heavy({ median: 3000, least: 100, most: 20_000 })) };
    messages = [
      ...messages,
      { role: 'assistant', content: [{ type: 'text', text: random.text(answerTokens * 3) }, use] },
      { role: 'user', content: [result] },
    ];
    if (JSON.stringify(messages).length > 130_000) messages = compacted();
  }
}

/** ChatAnthropic by default: the model's largest `max_tokens`, whole answers, no cache and no thinking. */
function* chainPlan(seed: number): Plan {
  const random = new Random(seed);
  for (let turn = 0; ; turn += 1) {
    const marker = marked(seed, turn);
    const content = `${marker} ${random.text(random.heavy({ median: 1500, least: 200, most: 8000 }))}`;
    const body = { model: sonnet.name, max_tokens: sonnet.maxOutputTokens, messages: [{ role: 'user', content }] };
    yield { marker, body, thinkingTokens: 0, answerTokens: random.heavy(answers) };
  }
}

/** A chat without any limit of its output, streamed, whose conversation starts anew at 20 kB. */
function* chatPlan(seed: number): Plan {
  const random = new Random(seed);
  const first = { role: 'system', content: random.text(1500) };
  let messages: readonly Json[] = [first];
  for (let turn = 0; ; turn += 1) {
    const marker = marked(seed, turn);
    const content = `${marker} ${random.text(random.heavy({ median: 400, least: 50, most: 4000 }))}`;
    messages = [...messages, { role: 'user', content }];
    const answerTokens = random.heavy(answers);
    const body = { model: gpt.name, stream: true, stream_options: { include_usage: true }, messages };
    yield { marker, body, thinkingTokens: 0, answerTokens };
    messages = [...messages, { role: 'assistant', content: random.text(answerTokens * 3) }];
    if (JSON.stringify(messages).length > 20_000) messages = [first];
  }
}

/** Every kind of agent, by the name that the command line takes. */
export const shapes: Readonly<Record<'code' | 'chain' | 'chat', Shape>> = {
  code: {
    name: 'Claude Code',
    model: sonnet,
    dialect: anthropicMessages,
    path: '/v1/messages',
    margin: margins.anthropic,
    plan: codingPlan,
  },
  chain: {
    name: 'LangChain, default',
    model: sonnet,
    dialect: anthropicMessages,
    path: '/v1/messages',
    margin: margins.anthropic,
    plan: chainPlan,
  },
  chat: {
    name: 'OpenAI chat, no limit',
    model: gpt,
    dialect: openaiChat,
    path: '/v1/chat/completions',
    margin: margins.openai,
    plan: chatPlan,
  },
};
