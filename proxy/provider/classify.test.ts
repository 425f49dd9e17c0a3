import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { anthropic } from './anthropic.ts';
import { gemini } from './gemini.ts';
import { openAi } from './openai.ts';
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

/** One row of the decision table: provider, status, headers, body → verdict. */
const rows: readonly (readonly [Provider, number, Record<string, string>, unknown, Verdict])[] = [
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
