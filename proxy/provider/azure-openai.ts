import { contentFilter, inputLimit, refusals } from './error-cost.ts';
import { classifyOpenAi, openAi, statusWithinOpenAi } from './openai.ts';
import { openAiCompatible } from './openai-compatible.ts';
import type { Provider } from './types.ts';

/** Azure also serves Grok, Llama and others, behind the same API. */
const ofOpenAi = /^(gpt-(?!oss)|o\d|codex|computer-use|text-embedding)/;

/** Azure's v1 surface, without dated versions: `model` is the deployment's name. Limits belong to a deployment. */
export const azureOpenAi: Provider = {
  kind: 'AzureOpenAI',
  paths: {
    'openai.chat': { json: '/openai/v1/chat/completions' },
    'openai.responses': { json: '/openai/v1/responses' },
    'openai.compact': { json: '/openai/v1/responses/compact' },
    'openai.embeddings': { json: '/openai/v1/embeddings' },
    'openai.completions': { json: '/openai/v1/completions' },
  },
  authentication: { header: 'api-key', prefix: '' },
  probe: { path: '/openai/v1/models', headers: [] },
  overheadOf: (model) => (ofOpenAi.test(model) ? openAi : openAiCompatible).overheadOf(model),
  isLenient: true,
  // A deployment's own: learn.microsoft.com/azure/foundry/openai/concepts/priority-processing. Models of other makers may refuse the field.
  hasDefaultTier: (model) => ofOpenAi.test(model),
  // Neither 408 nor 500: what was processed is charged, whatever the status.
  errors: [contentFilter, inputLimit, ...refusals],
  statusWithin: statusWithinOpenAi,
  classify: classifyOpenAi,
};
