import { anthropicCountTokens, anthropicMessages } from './anthropic/messages.ts';
import { geminiBatchEmbed, geminiCountTokens, geminiEmbed, geminiGenerate } from './gemini/requests.ts';
import { openaiChat } from './openai/chat.ts';
import { mistralFim, openaiCompletions } from './openai/completions.ts';
import { openaiEmbeddings } from './openai/embeddings.ts';
import { openaiModerations } from './openai/moderations.ts';
import { openaiCompact } from './openai/responses/compact.ts';
import { openaiInputTokens } from './openai/responses/input-tokens.ts';
import { openaiResponses } from './openai/responses/responses.ts';
import type { Dialect, DialectId, Family } from './types.ts';

/** Every dialect by its id. */
export const dialects: Readonly<Record<DialectId, Dialect>> = {
  'openai.chat': openaiChat,
  'openai.responses': openaiResponses,
  'openai.compact': openaiCompact,
  'openai.input_tokens': openaiInputTokens,
  'openai.embeddings': openaiEmbeddings,
  'openai.completions': openaiCompletions,
  'openai.moderations': openaiModerations,
  'mistral.fim': mistralFim,
  'anthropic.messages': anthropicMessages,
  'anthropic.count_tokens': anthropicCountTokens,
  'gemini.generateContent': geminiGenerate,
  'gemini.countTokens': geminiCountTokens,
  'gemini.embedContent': geminiEmbed,
  'gemini.batchEmbedContents': geminiBatchEmbed,
};

/** The dialects of one family. */
export function dialectsOf(family: Family): readonly Dialect[] {
  return Object.values(dialects).filter((dialect) => dialect.family === family);
}
