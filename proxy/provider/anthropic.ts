import type { IncomingHttpHeaders } from 'node:http';
import { isObject } from '../../core/json.ts';
import type { Overhead, PictureSize } from '../../core/price/demand.ts';
import { deadlineOf } from './deadline.ts';
import { type ErrorBody, readError } from './error-body.ts';
import { refusals } from './error-cost.ts';
import type { ErrorAnswer, Provider, Verdict } from './types.ts';
import { cooldown, disabled, modelCooldown, overloaded } from './verdict.ts';

/** Errors within a 200 stream carry only a type: platform.claude.com/docs/en/api/errors. */
const statusByType: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  authentication_error: 401,
  billing_error: 402,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  api_error: 500,
  timeout_error: 504,
  overloaded_error: 529,
};
const spendCodes = new Set(['enforced_spend_limit_reached', 'contract_spend_limit_reached']);
/** Matched only at the start: the rest of a message may quote the caller, who must not be able to disable a credential. */
const spentMessage = /^(?:Your credit balance is too low|You have reached your specified (?:workspace )?API usage limits)/;
const revokedMessage = /^(?:(?:Your|This|The) (?:API key|OAuth token)|OAuth token) (?:has been|was|is) (?:revoked|disabled|deactivated)/i;
/** Of a request whose context needs a plan that the account lacks; it is no limit of rate. */
const extraUsageMessage = /^(?:Extra usage is|Usage credits are) required for long context/;
const regainAccess = /You will regain access on (\d{4}-\d\d-\d\d) at (\d\d:\d\d) UTC/;

function classify(answer: ErrorAnswer): Verdict {
  const error = readError(answer.body);
  const status = answer.status === 200 ? statusWithin(error) : answer.status;
  const nowMs = answer.nowMs;
  const deadline = deadlineOf(answer.headers, nowMs);
  const details = error.object['details'];
  const code = isObject(details) && typeof details['error_code'] === 'string' ? details['error_code'] : '';

  if (status === 401 || (status === 403 && revokedMessage.test(error.message))) return { kind: 'unauthorized', code: `http_${status}` };
  if (status >= 500) return overloaded(`http_${status}`, { deadline, nowMs });
  if (spendCodes.has(code)) return spent(code, error, deadline);
  if (status === 402 || (status === 400 && spentMessage.test(error.message))) return spent(`http_${status}`, error, deadline);
  if (code === 'ramp_limit_exceeded') return cooldown(code, { deadline, nowMs });
  return status === 429 ? limited(error, answer, deadline) : { kind: 'caller', code: `http_${status}` };
}

function limited(error: ErrorBody, { headers, nowMs }: ErrorAnswer, deadline: number | null): Verdict {
  if (extraUsageMessage.test(error.message)) return { kind: 'caller', code: 'extra_usage_required' };
  if (isOfFastMode(headers)) return { kind: 'misfit', code: 'fast_mode_limit' };
  if (isTooLarge(error, headers)) return { kind: 'misfit', code: 'request_too_large' };
  return modelCooldown('rate_limit_error', { deadline, nowMs });
}

/** Fast mode has limits of its own: platform.claude.com/docs/en/build-with-claude/fast-mode */
function isOfFastMode(headers: IncomingHttpHeaders): boolean {
  const isUsedUp = (prefix: string): boolean =>
    Object.entries(headers).some(([name, value]) => name.startsWith(prefix) && name.endsWith('-remaining') && value === '0');
  return isUsedUp('anthropic-fast-') && !isUsedUp('anthropic-ratelimit-');
}

/**
 * "This request would exceed … input tokens per minute", although all of the minute's tokens are left: the limit is a bucket of
 * tokens (platform.claude.com/docs/en/api/rate-limits), and this request alone is larger than a full one.
 */
function isTooLarge({ message }: ErrorBody, headers: IncomingHttpHeaders): boolean {
  if (!/^This request would exceed\b.* input tokens per minute/.test(message)) return false;
  const limit = headers['anthropic-ratelimit-input-tokens-limit'];
  return limit !== undefined && limit === headers['anthropic-ratelimit-input-tokens-remaining'];
}

function statusWithin({ type }: ErrorBody): number {
  return statusByType[type] ?? 200;
}

function spent(code: string, error: ErrorBody, deadline: number | null): Verdict {
  const named = regainAccess.exec(error.message);
  const untilMs = named === null ? deadline : Date.parse(`${named[1]}T${named[2]}Z`);
  return disabled(code, untilMs);
}

/**
 * Most tokens of a picture, to which larger ones are scaled: 4,784 patches since Claude 4.7 ("high-resolution"), before that 1,568, or
 * some 1,600 by the older rule (platform.claude.com/docs/en/build-with-claude/vision). Room for the next model under other names.
 */
const mostPictureTokens: readonly (readonly [models: RegExp, tokens: number])[] = [
  [/^claude-(?:3-|(?:opus|sonnet|haiku)-4(?:-[0-6])?(?:-\d{8})?$)/, 1664],
  [/^claude-(?:opus-4-[78]|(?:opus|sonnet|haiku|fable|mythos)-5)(?:-|$)/, 4848],
  [/^/, 8192],
];

/** Width × height / 750, or patches of 28 × 28 on newer models (the same page). */
function pictureTokens(size: PictureSize, model: string): number {
  const most = mostPictureTokens.find(([models]) => models.test(model))?.[1] ?? Number.POSITIVE_INFINITY;
  if (size === null) return most;
  const { width, height } = size;
  const patches = Math.ceil(width / 28) * Math.ceil(height / 28);
  return Math.min(most, 64 + Math.max(patches, Math.ceil((width * height) / 750)));
}

const tokens: Overhead['tokens'] = {
  // The system prompt of tool use takes 159 to 804 tokens (the most: Opus 4.7, whose tool choice is `any`):
  // platform.claude.com/docs/en/agents-and-tools/tool-use/overview#pricing
  tools: 1024,
  // Recorded calls with a schema take up to 94 tokens beyond their bytes, calls with citations 105.
  structuredOutput: 256,
  document: 512,
  // Descriptions of server tools are not published; margin over those of Anthropic's client tools.
  hostedTools: 4096,
};

export const anthropic: Provider = {
  kind: 'Anthropic',
  paths: {
    'anthropic.messages': { json: '/v1/messages' },
    'anthropic.count_tokens': { json: '/v1/messages/count_tokens' },
  },
  authentication: { header: 'x-api-key', prefix: '' },
  probe: { path: '/v1/models', headers: ['anthropic-version', '2023-06-01'] },
  overheadOf: (model) => ({ tokens, pictureTokens: (size) => pictureTokens(size, model) }),
  counting: {
    'anthropic.messages': {
      path: '/v1/messages/count_tokens',
      // "Should be considered an estimate … may differ by a small amount": platform.claude.com/docs/en/build-with-claude/token-counting.
      // No page says how small: the margin is assumed.
      margin: { percent: 105, tokens: 64 },
    },
  },
  // `api_error`: "an unexpected error has occurred internal to Anthropic's systems" (platform.claude.com/docs/en/api/errors).
  // Assumed: it is not billed. Its bodies carry no usage.
  errors: [...refusals, { status: 500, ownBody: true, costs: 'nothing' }],
  statusWithin,
  classify,
};
