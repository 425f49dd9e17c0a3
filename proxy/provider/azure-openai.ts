import { classifyOpenAi, openAi } from './openai.ts';
import type { Provider } from './types.ts';

/** Azure's v1 surface, without dated versions: `model` is the deployment's name. Limits belong to a deployment. */
export const azureOpenAi: Provider = {
  kind: 'AzureOpenAI',
  paths: {
    'openai.chat': { json: '/openai/v1/chat/completions' },
    'openai.responses': { json: '/openai/v1/responses' },
    'openai.embeddings': { json: '/openai/v1/embeddings' },
  },
  authentication: { header: 'api-key', prefix: '' },
  overhead: openAi.overhead,
  isLenient: true,
  classify: classifyOpenAi,
};
