import type { Overhead } from '../../core/price/demand.ts';
import { deadlineOf } from './deadline.ts';
import { type ErrorBody, readError, statusInCode } from './error-body.ts';
import { refusals } from './error-cost.ts';
import { openAiPictureTokens } from './openai-pictures.ts';
import type { ErrorAnswer, Provider, Verdict } from './types.ts';
import { disabled, modelCooldown, overloaded } from './verdict.ts';

/** No money, or a hard limit reached: help.openai.com articles 5955604 and 6614457. */
const moneyCodes = new Set([
  'credit_balance_exhausted',
  'organization_spend_limit_exceeded',
  'organization_usage_limit_exceeded',
  'billing_hard_limit_reached',
  'billing_not_active',
  'insufficient_quota',
]);
const overloadCodes = new Set(['slow_down', 'server_is_overloaded']);
const limitCodes = new Set(['rate_limit_exceeded', 'rate_limited', 'RateLimitReached', 'tokens', 'requests']);
/** 200: an error within a stream, where only the code shows a limit. */
const limitStatuses = new Set([200, 402, 403, 429]);
const requestCodes = new Set([
  ...['invalid_prompt', 'invalid_image', 'invalid_image_format', 'invalid_base64_image', 'invalid_image_url', 'image_too_large'],
  ...['image_too_small', 'image_parse_error', 'invalid_image_mode', 'image_file_too_large', 'unsupported_image_media_type'],
  ...['empty_image_file', 'failed_to_download_image', 'image_file_not_found', 'invalid_request_error'],
]);
const revokedCodes = new Set(['invalid_api_key', 'account_deactivated', 'key_revoked', 'api_key_revoked']);

/**
 * Classifies errors of OpenAI and of servers that speak its dialect. `error.code` decides, because `insufficient_quota` as a
 * `type` is only a family. Limits belong to organisation or project and model, never to a key.
 */
export function classifyOpenAi(answer: ErrorAnswer): Verdict {
  const error = readError(answer.body);
  const status = answer.status === 200 ? statusInCode(error) : answer.status;
  const nowMs = answer.nowMs;
  const deadline = deadlineOf(answer.headers, nowMs);
  const code = error.code === '' ? error.type : error.code;

  const ownFault = faultOfRequest(status, error);
  if (ownFault !== null) return { kind: ownFault.kind, code: ownFault.code };
  if (status === 401 || (status === 403 && revokedCodes.has(code))) return { kind: 'unauthorized', code: `http_${status}` };
  if (overloadCodes.has(code)) return overloaded(code, { deadline, nowMs });
  if (status >= 500) return overloaded(`http_${status}`, { deadline, nowMs });
  if (limitStatuses.has(status)) {
    if (code === 'project_spend_limit_exceeded') return disabled(code, nextMonth(nowMs));
    if (moneyCodes.has(code)) return disabled(code, deadline);
    if (limitCodes.has(code)) return modelCooldown('rate_limit_exceeded', { deadline, nowMs });
  }
  if (status === 402) return disabled('http_402', deadline);
  if (status !== 429) return { kind: 'caller', code: `http_${status}` };
  return error.type === 'insufficient_quota'
    ? disabled('insufficient_quota', deadline)
    : modelCooldown('rate_limit_exceeded', { deadline, nowMs });
}

/** Restricted keys: the credential is good, but not for this endpoint. Matched anywhere: the message begins with a phrase that varies. */
const missingScopes = /\bMissing scopes?:/;
/** OpenRouter, of a request whose bound is above the balance: openrouter.ai/docs/api/reference/errors-and-debugging. Smaller ones fit. */
const canAfford = /\bcan only afford \d+/;
/** "Request too large for gpt-4o …: Limit 30000, Requested 61337". Below the limit, the same words tell of a limit that passes. */
const tooLarge = /^Request too large\b.*\bLimit (\d+), Requested (\d+)/s;

/** What is wrong with this request alone, so that no other call may suffer from it; null: nothing is known. */
function faultOfRequest(
  status: number,
  { code, message }: ErrorBody,
): { readonly kind: 'caller' | 'misfit'; readonly code: string } | null {
  if ((status === 401 || status === 403) && (code === 'missing_scope' || missingScopes.test(message)))
    return { kind: 'caller', code: 'missing_scope' };
  if (status === 402 && canAfford.test(message)) return { kind: 'caller', code: 'can_only_afford' };
  if (status !== 429) return null;
  // Capacity of the flex tier, which says nothing about other tiers: developers.openai.com/api/docs/guides/flex-processing
  if (code === 'resource_unavailable') return { kind: 'caller', code };
  const [, limit, requested] = tooLarge.exec(message) ?? [];
  return limit !== undefined && Number(requested) > Number(limit) ? { kind: 'misfit', code: 'request_too_large' } : null;
}

/**
 * The status of an error within a 200 answer: its code as a number (OpenRouter), or what OpenAI's codes mean outside of
 * streams. Codes of the request: `ResponseErrorCode` in OpenAI's OpenAPI description.
 */
export function statusWithinOpenAi(error: ErrorBody): number {
  const code = error.code === '' ? error.type : error.code;
  if (moneyCodes.has(code) || limitCodes.has(code) || code === 'project_spend_limit_exceeded' || error.type === 'insufficient_quota')
    return 429;
  if (overloadCodes.has(code)) return 503;
  if (code === 'server_error') return 500;
  return requestCodes.has(code) ? 400 : statusInCode(error);
}

/** Spend limits of a project are monthly, in UTC. */
function nextMonth(nowMs: number): number {
  const now = new Date(nowMs);
  return Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1);
}

/**
 * Recorded calls count at least 68 tokens less than the bytes of their text, and 175 less with tools or a schema: the JSON keys that
 * we count cost more than the frames of messages. The rest is room for short preambles, and for the instructions of hosted
 * tools, of which the most recorded is 61 without a search.
 */
const tokens: Overhead['tokens'] = { tools: 256, structuredOutput: 256, hostedTools: 1024 };

/**
 * Models that do not reason: "search content tokens are free" with the preview tool (developers.openai.com/api/docs/pricing). A
 * recorded call of gpt-4.1 that searched counts 319 input tokens for a body of 279 bytes.
 */
const withFreePreviews = /^gpt-4(o|\.1)/;

export const openAi: Provider = {
  kind: 'OpenAI',
  paths: {
    'openai.chat': { json: '/v1/chat/completions' },
    'openai.responses': { json: '/v1/responses' },
    'openai.compact': { json: '/v1/responses/compact' },
    'openai.input_tokens': { json: '/v1/responses/input_tokens' },
    'openai.embeddings': { json: '/v1/embeddings' },
    'openai.completions': { json: '/v1/completions' },
    'openai.moderations': { json: '/v1/moderations' },
  },
  authentication: { header: 'authorization', prefix: 'Bearer ' },
  probe: { path: '/v1/models', headers: [] },
  overheadOf: (model) => ({
    tokens,
    ...(withFreePreviews.test(model) ? { freePreviews: true } : {}),
    pictureTokens: (size) => openAiPictureTokens(model, size),
  }),
  counting: {
    // "The exact count the model will receive": developers.openai.com/api/docs/guides/token-counting. The margin is for a later model.
    'openai.responses': { path: '/v1/responses/input_tokens', margin: { percent: 102, tokens: 16 } },
    // Plain chat messages have the same form in Responses. Assumed: each is framed with few tokens more or less.
    'openai.chat': { path: '/v1/responses/input_tokens', margin: { percent: 104, tokens: 32 } },
  },
  hasDefaultTier: () => true,
  // 500 is an "issue on our servers" (developers.openai.com/api/docs/guides/error-codes). Assumed: it is not billed.
  errors: [...refusals, { status: 500, ownBody: true, costs: 'nothing' }],
  statusWithin: statusWithinOpenAi,
  classify: classifyOpenAi,
};
