import type { Overhead } from '../../core/price/demand.ts';
import { contentFilter, type ErrorRow, maybeRan, refusals } from './error-cost.ts';
import { classifyOpenAi, statusWithinOpenAi } from './openai.ts';
import { openAiPictureTokens } from './openai-pictures.ts';
import type { Provider } from './types.ts';

/** "Generation stopped because max_tokens … was reached": the model ran. openrouter.ai/docs/api/reference/errors-and-debugging */
const outputLimit: ErrorRow = { status: 400, codes: ['max_tokens_exceeded'], costs: 'bound' };

/** Room for what each vendor adds: Grok counts 687 prompt tokens for "Who are you", Anthropic's tools add up to 1,500. */
const tokens: Overhead['tokens'] = { request: 1024, tools: 1536, structuredOutput: 512, hostedTools: 1024 };

/** OpenRouter (endpoint `https://openrouter.ai/api`): its error codes are HTTP statuses as numbers, also within a stream. */
export const openRouter: Provider = {
  kind: 'OpenRouter',
  paths: {
    'openai.chat': { json: '/v1/chat/completions' },
    'openai.responses': { json: '/v1/responses' },
    'openai.embeddings': { json: '/v1/embeddings' },
    'anthropic.messages': { json: '/v1/messages' },
  },
  authentication: { header: 'authorization', prefix: 'Bearer ' },
  // The list of models needs no key here: openrouter.ai/docs/api/reference/limits
  probe: { path: '/v1/key', headers: [] },
  outputField: 'max_tokens',
  overheadOf: (model) => ({ tokens, pictureTokens: (size) => openAiPictureTokens(model.slice(model.indexOf('/') + 1), size) }),
  isLenient: true,
  choosesHost: true,
  // "No credits will be deducted" for a response with "an error finish reason": openrouter.ai/docs/guides/features/zero-completion-insurance
  stopsAtError: true,
  errors: [contentFilter, outputLimit, ...refusals, ...maybeRan],
  statusWithin: statusWithinOpenAi,
  classify: classifyOpenAi,
};
