import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { anthropic } from './anthropic.ts';
import { azureOpenAi } from './azure-openai.ts';
import { gemini } from './gemini.ts';
import { mistral } from './mistral.ts';
import { openAi } from './openai.ts';
import { openAiCompatible } from './openai-compatible.ts';
import { openRouter } from './openrouter.ts';
import { providerOf, upstreamPath } from './table.ts';
import type { Provider, Verdict } from './types.ts';

const nowMs = Date.UTC(2026, 10, 20, 12);
const openAiError = (code: string | number, type = 'insufficient_quota'): object => ({ error: { message: '', type, code } });
const anthropicError = (type: string, message = '', error_code?: string): object => ({
  type: 'error',
  error: { type, message, ...(error_code === undefined ? {} : { details: { error_code } }) },
});
const geminiQuota = (quotaId: string, more: object[] = [], quotaValue = '10'): object => ({
  error: { code: 429, message: '', status: 'RESOURCE_EXHAUSTED', details: [{ violations: [{ quotaId, quotaValue }] }, ...more] },
});
const reason = (code: number, name: string): object => ({ error: { code, message: '', details: [{ reason: name }] } });

const says = (message: string, more: object = {}): object => ({ error: { message, ...more } });
const tooLarge = (limit: number, requested: number): object =>
  says(
    `Request too large for model \`m\` in organization \`o\` on tokens per minute (TPM): Limit ${limit}, Requested ${requested}, shorten it.`,
    {
      type: 'tokens',
      code: 'rate_limit_exceeded',
    },
  );

type Row = readonly [Provider, number, Record<string, string>, unknown, Verdict];

/** One row of the decision table: provider, status, headers, body → verdict. */
const rows: readonly Row[] = [
  [
    openAi,
    429,
    { 'retry-after': '20' },
    openAiError('rate_limit_exceeded', 'requests'),
    { kind: 'cooldown', untilMs: nowMs + 20_000, model: true, code: 'rate_limit_exceeded' },
  ],
  [
    openAi,
    429,
    {},
    openAiError('rate_limit_exceeded', 'insufficient_quota'),
    { kind: 'cooldown', untilMs: nowMs + 5_000, model: true, code: 'rate_limit_exceeded' },
  ],
  [openAi, 429, {}, '<html>', { kind: 'cooldown', untilMs: nowMs + 5_000, model: true, code: 'rate_limit_exceeded' }],
  [openAi, 429, { 'retry-after': '9' }, openAiError('slow_down'), { kind: 'overloaded', retryAfterMs: 9_000, code: 'slow_down' }],
  [openAi, 503, {}, openAiError('server_is_overloaded'), { kind: 'overloaded', code: 'server_is_overloaded' }],
  [openAi, 429, {}, openAiError('credit_balance_exhausted'), { kind: 'disabled', code: 'credit_balance_exhausted' }],
  [openAi, 429, {}, openAiError('organization_spend_limit_exceeded'), { kind: 'disabled', code: 'organization_spend_limit_exceeded' }],
  [openAi, 429, {}, openAiError('organization_usage_limit_exceeded'), { kind: 'disabled', code: 'organization_usage_limit_exceeded' }],
  [
    openAi,
    429,
    {},
    openAiError('project_spend_limit_exceeded'),
    { kind: 'disabled', untilMs: Date.UTC(2026, 11, 1), code: 'project_spend_limit_exceeded' },
  ],
  [openAi, 429, {}, openAiError('insufficient_quota'), { kind: 'disabled', code: 'insufficient_quota' }],
  [openAi, 429, {}, openAiError('something_new_of_that_family'), { kind: 'disabled', code: 'insufficient_quota' }],
  [
    openAi,
    200,
    {},
    { type: 'error', error: { type: 'insufficient_quota', code: 'insufficient_quota' } },
    { kind: 'disabled', code: 'insufficient_quota' },
  ],
  [
    openAi,
    200,
    {},
    { type: 'response.failed', response: { error: { code: 'rate_limit_exceeded' } } },
    { kind: 'cooldown', untilMs: nowMs + 5_000, model: true, code: 'rate_limit_exceeded' },
  ],
  [
    openAi,
    200,
    {},
    { error: { code: 429, message: 'upstream' } },
    { kind: 'cooldown', untilMs: nowMs + 5_000, model: true, code: 'rate_limit_exceeded' },
  ],
  [openAi, 200, {}, { type: 'error', code: 'server_error', message: '' }, { kind: 'caller', code: 'http_200' }],
  [openAi, 401, {}, openAiError('invalid_api_key', 'invalid_request_error'), { kind: 'unauthorized', code: 'http_401' }],
  [openAi, 403, {}, openAiError('account_deactivated', ''), { kind: 'unauthorized', code: 'http_403' }],
  [openAi, 403, {}, openAiError('model_not_found', ''), { kind: 'caller', code: 'http_403' }],
  [openAi, 402, {}, openAiError(402, ''), { kind: 'disabled', code: 'http_402' }],
  [openAi, 400, {}, openAiError('insufficient_quota'), { kind: 'caller', code: 'http_400' }],
  [openAi, 500, {}, '', { kind: 'overloaded', code: 'http_500' }],

  // Not a model's permission, not an organisation's.
  [
    openAi,
    403,
    {},
    says('Project `proj_x` does not have access to model `gpt-4.1`', { code: 'model_not_found' }),
    { kind: 'caller', code: 'http_403' },
  ],
  [openAi, 403, {}, says('Your organization must be verified to use the model `gpt-image-1`.'), { kind: 'caller', code: 'http_403' }],
  [openAi, 401, {}, says('Missing scopes: model.request', { code: null }), { kind: 'caller', code: 'missing_scope' }],
  [openAi, 429, {}, tooLarge(30_000, 61_337), { kind: 'misfit', code: 'request_too_large' }],
  [openAi, 429, {}, tooLarge(250_000, 546), { kind: 'cooldown', untilMs: nowMs + 5_000, model: true, code: 'rate_limit_exceeded' }],
  [
    azureOpenAi,
    404,
    {},
    says('The API deployment for this resource does not exist.', { code: 'DeploymentNotFound' }),
    { kind: 'caller', code: 'http_404' },
  ],
  [
    azureOpenAi,
    429,
    { 'retry-after': '20' },
    says(
      'The system is currently experiencing high demand and cannot process your request. Your request exceeds the maximum usage size allowed during peak load.',
      { code: 'NoCapacity' },
    ),
    { kind: 'misfit', code: 'peak_load' },
  ],
  [
    mistral,
    429,
    {},
    { object: 'error', message: 'Service tier capacity exceeded for this model.', type: 'service_tier_capacity_exceeded', code: '3505' },
    { kind: 'overloaded', code: 'service_tier_capacity_exceeded' },
  ],
  [
    mistral,
    429,
    {},
    { object: 'error', message: 'Service tier capacity exceeded for this model.', type: 'invalid_request_error', code: null },
    { kind: 'overloaded', code: 'service_tier_capacity_exceeded' },
  ],
  [
    mistral,
    429,
    {},
    { object: 'error', message: 'Requests rate limit exceeded', type: 'rate_limited', code: '1300' },
    { kind: 'cooldown', untilMs: nowMs + 5_000, model: true, code: 'rate_limit_exceeded' },
  ],

  // LiteLLM in front of the providers.
  ...['key', 'team', 'user', 'org', 'project'].flatMap((whose) =>
    [401, 403].map(
      (status): Row => [
        openAiCompatible,
        status,
        {},
        says('not allowed to access model.', { type: `${whose}_model_access_denied`, param: 'model', code: String(status) }),
        { kind: 'caller', code: 'access_denied' },
      ],
    ),
  ),
  [
    openAiCompatible,
    401,
    {},
    says("Authentication Error, API Key not allowed to access model. This token can only access models=['a']. Tried to access b", {
      type: 'auth_error',
      code: 401,
    }),
    { kind: 'caller', code: 'access_denied' },
  ],
  [openAiCompatible, 401, {}, says('Not allowed to access model due to tags configuration'), { kind: 'caller', code: 'access_denied' }],
  [
    openAiCompatible,
    401,
    {},
    says('not found', { type: 'token_not_found_in_db', code: '401' }),
    { kind: 'unauthorized', code: 'http_401' },
  ],
  ...(
    [
      [401, 'auth_error'],
      [429, 'budget_exceeded'],
    ] as const
  ).map(
    ([status, type]): Row => [
      openAiCompatible,
      status,
      {},
      says('ExceededBudget: End User=ishaan over budget. Spend=0.2, Budget=0.1', { type, code: status }),
      { kind: 'caller', code: 'budget_of_caller' },
    ],
  ),
  [
    openAiCompatible,
    429,
    {},
    says('Rate limit exceeded for end_user: ishaan. Limit type: requests.', { type: 'throttling_error', code: '429' }),
    { kind: 'caller', code: 'budget_of_caller' },
  ],
  [
    openAiCompatible,
    429,
    {},
    says('Session s is over', { type: 'budget_exceeded', code: '429' }),
    { kind: 'caller', code: 'budget_of_caller' },
  ],
  ...[400, 429].map(
    (status): Row => [
      openAiCompatible,
      status,
      {},
      says('LiteLLM Virtual Key: 97, key_alias: None, exceeded budget for model=gpt-4o', { type: 'budget_exceeded', code: String(status) }),
      { kind: 'cooldown', untilMs: nowMs + 5_000, model: true, code: 'budget_exceeded' },
    ],
  ),
  ...[400, 429].map(
    (status): Row => [
      openAiCompatible,
      status,
      {},
      says('Budget has been exceeded! Team=ml Current cost: 0.06, Max budget: 0.05', { type: 'budget_exceeded', code: String(status) }),
      { kind: 'disabled', code: 'budget_exceeded' },
    ],
  ),
  // Words alone, which a caller may have brought about, put nothing aside.
  [
    openAiCompatible,
    400,
    {},
    says('Budget has been exceeded! Current cost: 1', { type: 'BadRequestError' }),
    { kind: 'caller', code: 'http_400' },
  ],

  [
    openRouter,
    402,
    {},
    says('You requested up to 64000 tokens, but can only afford 41000.', { code: 402 }),
    { kind: 'misfit', code: 'can_only_afford' },
  ],
  [
    openRouter,
    402,
    {},
    says('You requested up to 64000 tokens, but can only afford 0.', { code: 402 }),
    { kind: 'disabled', code: 'http_402' },
  ],
  [
    openRouter,
    402,
    {},
    says('Prompt tokens limit exceeded: 64128 > 6964. To increase, visit https://openrouter.ai/settings/credits', { code: 402 }),
    { kind: 'misfit', code: 'can_only_afford' },
  ],
  [
    openRouter,
    402,
    {},
    says('This request costs too much.', { code: 402, metadata: { reason: 'weight_exceeds_budget', limit_source: 'openrouter_credits' } }),
    { kind: 'misfit', code: 'can_only_afford' },
  ],
  [
    openRouter,
    402,
    { 'retry-after': '7' },
    says('Retry after in-flight requests settle.', { code: 402, metadata: { limit_source: 'openrouter_in_flight_budget' } }),
    { kind: 'cooldown', untilMs: nowMs + 7_000, model: false, code: 'in_flight_budget' },
  ],
  [openRouter, 402, {}, says('Insufficient credits.', { code: 402 }), { kind: 'disabled', code: 'http_402' }],
  [
    openRouter,
    403,
    {},
    says('Key limit exceeded (total limit). Manage it using https://openrouter.ai/settings/keys', { code: 403 }),
    { kind: 'disabled', code: 'spend_limit' },
  ],
  [
    openRouter,
    403,
    {},
    says('Budget limit exceeded', {
      code: 403,
      metadata: { limit_source: 'openrouter_workspace_budget', resets_at: '2026-12-01T00:00:00Z' },
    }),
    { kind: 'disabled', untilMs: Date.UTC(2026, 11, 1), code: 'spend_limit' },
  ],
  [
    openRouter,
    403,
    {},
    says('Your chosen model requires moderation and your input was flagged', {
      code: 403,
      metadata: { reasons: ['violence'], flagged_input: 'x' },
    }),
    { kind: 'caller', code: 'http_403' },
  ],
  [openRouter, 403, {}, says('Request blocked: prompt injection patterns detected', { code: 403 }), { kind: 'caller', code: 'http_403' }],

  // Groq, DeepSeek, xAI and vLLM.
  [openAiCompatible, 413, {}, tooLarge(12_000, 14_137), { kind: 'misfit', code: 'request_too_large' }],
  [openAiCompatible, 413, {}, says('Request Entity Too Large'), { kind: 'caller', code: 'http_413' }],
  [openAiCompatible, 498, {}, says('Flex tier capacity exceeded', { code: 'capacity_exceeded' }), { kind: 'caller', code: 'http_498' }],
  [openAiCompatible, 402, {}, says('Insufficient Balance', { code: 'invalid_request_error' }), { kind: 'disabled', code: 'http_402' }],
  ...[403, 429].map(
    (status): Row => [
      openAiCompatible,
      status,
      {},
      {
        code: 'Some resource has been exhausted',
        error: 'Your team 16f has either used all available credits or reached its monthly spending limit.',
      },
      { kind: 'disabled', code: 'no_credits' },
    ],
  ),
  [
    openAiCompatible,
    403,
    {},
    { code: 'permission-denied', error: 'The caller does not have permission to use grok-4.' },
    { kind: 'caller', code: 'http_403' },
  ],
  [
    openAiCompatible,
    404,
    {},
    says('The model `m` does not exist.', { type: 'NotFoundError', code: 404 }),
    { kind: 'caller', code: 'http_404' },
  ],
  [openAiCompatible, 401, {}, { error: 'Unauthorized' }, { kind: 'unauthorized', code: 'http_401' }],

  [
    anthropic,
    429,
    { 'retry-after': '13' },
    anthropicError('rate_limit_error'),
    { kind: 'cooldown', untilMs: nowMs + 13_000, model: true, code: 'rate_limit_error' },
  ],
  [
    anthropic,
    429,
    { 'retry-after': '13' },
    anthropicError('rate_limit_error', '', 'ramp_limit_exceeded'),
    { kind: 'cooldown', untilMs: nowMs + 13_000, model: false, code: 'ramp_limit_exceeded' },
  ],
  [
    anthropic,
    429,
    {},
    anthropicError('rate_limit_error', '', 'enforced_spend_limit_reached'),
    { kind: 'disabled', code: 'enforced_spend_limit_reached' },
  ],
  [
    anthropic,
    400,
    {},
    anthropicError('invalid_request_error', '', 'contract_spend_limit_reached'),
    { kind: 'disabled', code: 'contract_spend_limit_reached' },
  ],
  [anthropic, 402, {}, anthropicError('billing_error'), { kind: 'disabled', code: 'http_402' }],
  [
    anthropic,
    400,
    {},
    anthropicError('invalid_request_error', 'Your credit balance is too low to access the API.'),
    { kind: 'disabled', code: 'http_400' },
  ],
  [
    anthropic,
    400,
    {},
    anthropicError(
      'invalid_request_error',
      'You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.',
    ),
    { kind: 'disabled', untilMs: Date.UTC(2026, 11, 1), code: 'http_400' },
  ],
  [
    anthropic,
    400,
    {},
    anthropicError('invalid_request_error', "messages.0.role: got 'Your credit balance is too low'"),
    { kind: 'caller', code: 'http_400' },
  ],
  [anthropic, 401, {}, anthropicError('authentication_error'), { kind: 'unauthorized', code: 'http_401' }],
  [
    anthropic,
    403,
    {},
    anthropicError('permission_error', 'OAuth token has been revoked. Please obtain a new token.'),
    { kind: 'unauthorized', code: 'http_403' },
  ],
  [anthropic, 403, {}, anthropicError('permission_error', 'Your API key does not have permission'), { kind: 'caller', code: 'http_403' }],
  ...['Extra usage is required for long context requests.', 'Usage credits are required for long context requests.'].map(
    (message): Row => [anthropic, 429, {}, anthropicError('rate_limit_error', message), { kind: 'caller', code: 'extra_usage_required' }],
  ),
  [
    anthropic,
    400,
    {},
    anthropicError('invalid_request_error', 'The long context beta is not yet available for this subscription.'),
    { kind: 'caller', code: 'http_400' },
  ],
  [
    anthropic,
    400,
    {},
    anthropicError(
      'invalid_request_error',
      'You have reached your specified workspace API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.',
    ),
    { kind: 'disabled', untilMs: Date.UTC(2026, 11, 1), code: 'http_400' },
  ],
  [
    anthropic,
    429,
    { 'retry-after': '13', 'anthropic-fast-output-tokens-remaining': '0', 'anthropic-ratelimit-output-tokens-remaining': '8000' },
    anthropicError('rate_limit_error'),
    { kind: 'misfit', code: 'fast_mode_limit' },
  ],
  [
    anthropic,
    429,
    { 'retry-after': '13', 'anthropic-fast-output-tokens-remaining': '0', 'anthropic-ratelimit-output-tokens-remaining': '0' },
    anthropicError('rate_limit_error'),
    { kind: 'cooldown', untilMs: nowMs + 13_000, model: true, code: 'rate_limit_error' },
  ],
  ...['30000', '12000'].map(
    (left): Row => [
      anthropic,
      429,
      { 'retry-after': '13', 'anthropic-ratelimit-input-tokens-limit': '30000', 'anthropic-ratelimit-input-tokens-remaining': left },
      anthropicError(
        'rate_limit_error',
        'This request would exceed the rate limit for your organization (x) of 30,000 input tokens per minute.',
      ),
      left === '30000'
        ? { kind: 'misfit', code: 'request_too_large' }
        : { kind: 'cooldown', untilMs: nowMs + 13_000, model: true, code: 'rate_limit_error' },
    ],
  ),
  [anthropic, 529, {}, anthropicError('overloaded_error'), { kind: 'overloaded', code: 'http_529' }],
  [anthropic, 200, {}, anthropicError('overloaded_error'), { kind: 'overloaded', code: 'http_529' }],
  [
    anthropic,
    200,
    {},
    anthropicError('rate_limit_error'),
    { kind: 'cooldown', untilMs: nowMs + 5_000, model: true, code: 'rate_limit_error' },
  ],

  [
    gemini,
    429,
    {},
    geminiQuota('GenerateRequestsPerMinutePerProject', [{ retryDelay: '17s' }]),
    { kind: 'cooldown', untilMs: nowMs + 17_000, model: true, code: 'quota_per_minute' },
  ],
  [
    gemini,
    429,
    {},
    geminiQuota('GenerateRequestsPerMinutePerProject'),
    { kind: 'cooldown', untilMs: nowMs + 5_000, model: true, code: 'quota_per_minute' },
  ],
  // Midnight in Los Angeles is 08:00 UTC in winter, 07:00 in summer.
  [
    gemini,
    429,
    {},
    geminiQuota('GenerateRequestsPerDayPerProjectPerModel-FreeTier', [{ retryDelay: '17s' }]),
    { kind: 'cooldown', untilMs: Date.UTC(2026, 10, 21, 8), model: true, code: 'quota_per_day' },
  ],
  [
    gemini,
    429,
    {},
    geminiQuota('GenerateRequestsPerDayPerProject', [], '0'),
    { kind: 'cooldown', untilMs: nowMs + 86_400_000, model: true, code: 'quota_zero' },
  ],
  [
    gemini,
    429,
    {},
    { error: { code: 429, message: 'Quota exceeded for metric: x, limit: 0, model: y' } },
    { kind: 'cooldown', untilMs: nowMs + 86_400_000, model: true, code: 'quota_zero' },
  ],
  // A quota of search, 0 on the free tier, is none of the model's.
  [
    gemini,
    429,
    {},
    geminiQuota('SearchGroundingRequestPerProjectPerDayPerUser', [{ retryDelay: '17s' }], '0'),
    { kind: 'misfit', code: 'quota_search' },
  ],
  [
    gemini,
    429,
    {},
    {
      error: {
        code: 429,
        message:
          'Quota exceeded for metric: generativelanguage.googleapis.com/search_grounding_request_per_project_per_day_per_user, limit: 0',
      },
    },
    { kind: 'misfit', code: 'quota_search' },
  ],
  [
    gemini,
    429,
    {},
    {
      error: {
        code: 429,
        message:
          'Quota exceeded for metric: x/search_grounding_requests, limit: 0\n* Quota exceeded for metric: x/generate_content_requests, limit: 0',
      },
    },
    { kind: 'cooldown', untilMs: nowMs + 86_400_000, model: true, code: 'quota_zero' },
  ],
  [
    gemini,
    200,
    {},
    { error: { code: 429, message: '' } },
    { kind: 'cooldown', untilMs: nowMs + 5_000, model: true, code: 'quota_per_minute' },
  ],
  [gemini, 400, {}, reason(400, 'API_KEY_INVALID'), { kind: 'unauthorized', code: 'API_KEY_INVALID' }],
  [gemini, 403, {}, reason(403, 'CONSUMER_SUSPENDED'), { kind: 'unauthorized', code: 'CONSUMER_SUSPENDED' }],
  [
    gemini,
    403,
    {},
    { error: { code: 403, message: 'Your API key was reported as leaked. Please use another API key.' } },
    { kind: 'unauthorized', code: 'http_403' },
  ],
  [
    gemini,
    403,
    {},
    { error: { code: 403, message: 'Permission denied', status: 'PERMISSION_DENIED' } },
    { kind: 'caller', code: 'http_403' },
  ],
  [gemini, 503, {}, { error: { code: 503, message: 'The model is overloaded.' } }, { kind: 'overloaded', code: 'http_503' }],
  [gemini, 404, {}, [{ error: { code: 404 } }], { kind: 'caller', code: 'http_404' }],
];

for (const [provider, status, headers, body, verdict] of rows) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  test(`${provider.kind} ${status} ${text} is ${verdict.kind}`, () => {
    assert.deepEqual(provider.classify({ status, headers, body: text, nowMs }), verdict);
  });
}

const recordings = join(import.meta.dirname, '../../../shared/recordings');
const kinds = {
  anthropic: 'Anthropic',
  azure: 'AzureOpenAI',
  google: 'Gemini',
  mistral: 'Mistral',
  openai: 'OpenAI',
  openrouter: 'OpenRouter',
} as const;

test('recorded and constructed errors are of the class that their status says', {
  skip: existsSync(recordings) ? false : `${recordings} is absent`,
}, () => {
  const expected = (status: number): readonly Verdict['kind'][] =>
    status === 401
      ? ['unauthorized']
      : status === 402
        ? ['disabled']
        : status === 429
          ? ['cooldown', 'disabled']
          : status >= 500
            ? ['overloaded']
            : ['caller'];
  let count = 0;
  for (const file of [...Object.keys(kinds), 'constructed']) {
    for (const line of readFileSync(join(recordings, `${file}.jsonl`), 'utf8').split('\n')) {
      if (line === '') continue;
      const { id, vendor, response } = JSON.parse(line);
      const provider = providerOf(kinds[vendor as keyof typeof kinds] ?? 'Bedrock');
      if (provider === null || response.status < 400) continue;
      const body = typeof response.body === 'string' ? response.body : JSON.stringify(response.body);
      const { kind } = provider.classify({ status: response.status, headers: response.headers, body, nowMs });
      const invalidKey = vendor === 'google' && body.includes('API_KEY_INVALID');
      assert.ok((invalidKey ? ['unauthorized'] : expected(response.status)).includes(kind), `${id}: ${response.status} became ${kind}`);
      count += 1;
    }
  }
  assert.ok(count > 40);
});

test('paths are the provider own, with the model in them percent-encoded', () => {
  const path = (kind: Parameters<typeof providerOf>[0], model: string, stream: boolean): string | null => {
    const provider = providerOf(kind);
    return provider === null ? null : upstreamPath(provider, { dialect: 'gemini.generateContent', model, stream });
  };
  assert.equal(path('Gemini', 'gemini-3.5-flash', true), '/v1beta/models/gemini-3.5-flash:streamGenerateContent');
  assert.equal(path('Gemini', '../../files?key=$&', false), '/v1beta/models/..%2F..%2Ffiles%3Fkey%3D%24%26:generateContent');
  assert.equal(path('OpenAI', 'x', false), null);
  assert.equal(path('Bedrock', 'x', false), null);
});
