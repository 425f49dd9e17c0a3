import { classifyOpenAi } from './openai.ts';
import type { Provider } from './types.ts';

/** Mistral: OpenAI's chat and embeddings; errors bare (`{message, type, code}`) or `{detail}`. Limits belong to a workspace. */
export const mistral: Provider = {
  kind: 'Mistral',
  paths: {
    'openai.chat': { json: '/v1/chat/completions' },
    'openai.embeddings': { json: '/v1/embeddings' },
  },
  authentication: { header: 'authorization', prefix: 'Bearer ' },
  outputField: 'max_tokens',
  overhead: {
    tokens: { request: 1024 },
    // Patches of 14 × 14 at 1540 × 1540 with a row mark each, the finest that mistral-common cuts: 110 × 111.
    pictureTokens: () => 12_210,
  },
  classify: classifyOpenAi,
};
