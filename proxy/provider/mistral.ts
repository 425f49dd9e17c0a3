import type { Overhead } from '../../core/price/demand.ts';
import { refusals } from './error-cost.ts';
import { classifyOpenAi, statusWithinOpenAi } from './openai.ts';
import type { Provider } from './types.ts';

const overhead: Overhead = {
  // Recorded calls count at least 81 tokens less than the bytes of their text; the rest is room for short preambles.
  tokens: { tools: 256, structuredOutput: 256 },
  // Patches of 14 × 14 at 1540 × 1540 with a row mark each, the finest that mistral-common cuts: 110 × 111.
  pictureTokens: (size) => (size === null ? 12_210 : Math.min(12_210, Math.ceil(size.height / 14) * (Math.ceil(size.width / 14) + 1))),
};

/** Mistral: OpenAI's chat and embeddings; errors bare (`{message, type, code}`) or `{detail}`. Limits belong to a workspace. */
export const mistral: Provider = {
  kind: 'Mistral',
  paths: {
    'openai.chat': { json: '/v1/chat/completions' },
    'openai.embeddings': { json: '/v1/embeddings' },
    'mistral.fim': { json: '/v1/fim/completions' },
  },
  authentication: { header: 'authorization', prefix: 'Bearer ' },
  probe: { path: '/v1/models', headers: [] },
  outputField: 'max_tokens',
  // 422 "extra_forbidden" for `stream_options`: openai/openai-agents-python#442. The last chunk of a stream carries usage.
  sendsUsageUnasked: true,
  overheadOf: () => overhead,
  // 500 is a "server error" (docs.mistral.ai/resources/error-glossary). Assumed: it is not billed.
  errors: [...refusals, { status: 500, ownBody: true, costs: 'nothing' }],
  statusWithin: statusWithinOpenAi,
  classify: classifyOpenAi,
};
