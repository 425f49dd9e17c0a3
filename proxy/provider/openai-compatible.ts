import type { Overhead } from '../../core/price/demand.ts';
import { contentFilter, type ErrorRow, maybeRan, refusals } from './error-cost.ts';
import { classifyOpenAi, openAi, statusWithinOpenAi } from './openai.ts';
import { openAiPictureTokens } from './openai-pictures.ts';
import type { Provider } from './types.ts';

/** Chat templates of open models carry system prompts of their own, and Grok counts 687 tokens for "Who are you". */
const tokens: Overhead['tokens'] = { request: 1024, tools: 1024, structuredOutput: 256, hostedTools: 1024 };

// Only OpenAI's own moderation and counting of tokens are known to be free.
const { 'openai.moderations': _, 'openai.input_tokens': __, ...paths } = openAi.paths;

/** Groq's flex tier is full: the request "will not be processed". console.groq.com/docs/errors */
const noFlexCapacity: ErrorRow = { status: 498, codes: ['capacity_exceeded'], costs: 'nothing' };

/** Any server that speaks OpenAI's dialect (vLLM, Ollama, gateways). An endpoint that ends in `/v1` is used as written. */
export const openAiCompatible: Provider = {
  kind: 'OpenAICompatible',
  paths,
  authentication: { header: 'authorization', prefix: 'Bearer ' },
  // Some servers list their models to anyone, so that no list says anything about a credential.
  probe: null,
  outputField: 'max_tokens',
  // A gateway may serve any model; Qwen-VL takes 16,384 for a picture, less than the dearest of OpenAI's.
  overheadOf: (model) => ({ tokens, pictureTokens: (size) => openAiPictureTokens(model, size) }),
  // Only where a pool says `countable`. A server that counts with its own tokenizer counts exactly; others estimate.
  counting: {
    'openai.responses': { path: '/v1/responses/input_tokens', margin: { percent: 110, tokens: 64 } },
    'openai.chat': { path: '/v1/responses/input_tokens', margin: { percent: 110, tokens: 64 } },
  },
  isLenient: true,
  closesIdleSoon: true,
  errors: [contentFilter, noFlexCapacity, ...refusals, ...maybeRan],
  statusWithin: statusWithinOpenAi,
  classify: classifyOpenAi,
};
