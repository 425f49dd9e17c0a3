import { anthropicCounter } from './anthropic/count.ts';
import { geminiCounter } from './gemini/count.ts';
import { chatCounter, responsesCounter } from './openai/count.ts';
import type { Counter, DialectId } from './types.ts';

/** How requests of a dialect are put to the provider's token counter; absent: its counter has no exact form of them. */
export const counters: Readonly<Partial<Record<DialectId, Counter>>> = {
  'openai.chat': chatCounter,
  'openai.responses': responsesCounter,
  'anthropic.messages': anthropicCounter,
  'gemini.generateContent': geminiCounter,
};
