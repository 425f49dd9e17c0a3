import { getTokenizer } from '@anthropic-ai/tokenizer';
import { Template } from '@huggingface/jinja';
import { Tokenizer } from '@huggingface/tokenizers';
import { get_encoding } from 'tiktoken';
import type { ChatRequest, ChatTool } from './requests.ts';
import { readVocabulary, type VocabularyName } from './vocabularies.ts';

/** A published tokenizer. */
export interface Counter {
  /** Tokens of a text. What looks like a special token counts as one. */
  readonly text: (text: string) => number;
  /** Input tokens of a request by the published chat template; absent: none is published. */
  readonly request?: (request: ChatRequest) => number;
  /** True if that template says how tools are shown. */
  readonly takesTools?: boolean;
}

/** Every tokenizer by its name; each is loaded when it is needed. */
export const tokenizers: Readonly<Record<string, () => Promise<Counter>>> = {
  o200k_base: () => tiktoken('o200k_base'),
  cl100k_base: () => tiktoken('cl100k_base'),
  'Claude 2': claude,
  'Llama 3.1': () => huggingFace('llama3_1'),
  'Qwen 3': () => huggingFace('qwen3'),
  'Mistral NeMo': () => huggingFace('mistral_nemo'),
  'Gemma 3': () => huggingFace('gemma3'),
};

async function tiktoken(name: 'o200k_base' | 'cl100k_base'): Promise<Counter> {
  const encoding = get_encoding(name);
  const text: Counter['text'] = (given) => encoding.encode(given, 'all').length;
  return { text, request: (request) => openAiTokens(text, request), takesTools: true };
}

/** The last tokenizer that Anthropic published. It normalises to NFKC. */
async function claude(): Promise<Counter> {
  const tokenizer = getTokenizer();
  return { text: (given) => tokenizer.encode(given.normalize('NFKC'), 'all').length };
}

async function huggingFace(name: VocabularyName): Promise<Counter> {
  const { tokenizer, config } = await readVocabulary(name);
  const { chat_template: source, bos_token, eos_token } = config;
  const encoder = new Tokenizer(tokenizer, config);
  const template = new Template(String(source));
  const text: Counter['text'] = (given) => encoder.encode(given, { add_special_tokens: false }).ids.length;
  return {
    text,
    request: (request) => text(template.render({ ...request, bos_token, eos_token, add_generation_prompt: true })),
    takesTools: String(source).includes('tools'),
  };
}

/** As OpenAI's cookbook counts: cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken. */
function openAiTokens(text: Counter['text'], { messages, tools = [] }: ChatRequest): number {
  const perMessage = 3;
  const primed = 3;
  const ofMessages = messages.map(
    ({ role, content, tool_calls: calls = [] }) =>
      perMessage + text(role) + text(content) + (calls.length > 0 ? text(JSON.stringify(calls)) : 0),
  );
  return sum(ofMessages) + primed + (tools.length === 0 ? 0 : toolsEnd + sum(tools.map((tool) => toolTokens(text, tool))));
}

const toolStart = 10;
const toolsEnd = 12;

function toolTokens(text: Counter['text'], { function: { name, description = '', parameters } }: ChatTool): number {
  const properties = Object.entries(parameters?.properties ?? {}).map(
    ([key, { type, description: about = '', enum: values = [] }]) =>
      3 + text(`${key}:${type}:${about}`) + sum(values.map((value) => 3 + text(value))),
  );
  return toolStart + text(`${name}:${description}`) + (properties.length === 0 ? 0 : 3) + sum(properties);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
