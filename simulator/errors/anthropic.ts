import type { Json } from '../types.ts';
import { type FamilyErrors, jsonAnswer } from './types.ts';

/** Anthropic's. */
export const anthropicErrors: FamilyErrors = {
  rateLimited(_model, retryAfterSeconds) {
    const message = 'This request would exceed the rate limit for your organization of 50 requests per minute.';
    return jsonAnswer(429, body(message, 'rate_limit_error'), {
      'retry-after': String(retryAfterSeconds),
      'anthropic-ratelimit-requests-limit': '50',
      'anthropic-ratelimit-requests-remaining': '0',
    });
  },
  insufficientQuota: () => jsonAnswer(402, body('Your credit balance is too low to access the Anthropic API.', 'billing_error')),
  unauthorized: () => jsonAnswer(401, body('invalid x-api-key', 'authentication_error'), { 'x-should-retry': 'false' }),
  overloaded: () => jsonAnswer(529, body('Overloaded', 'overloaded_error'), { 'x-should-retry': 'true' }),
  serverError: () => jsonAnswer(500, body('Internal server error', 'api_error')),
  unknownModel: (model) => jsonAnswer(404, body(`model: ${model}`, 'not_found_error')),
  badRequest: (message) => jsonAnswer(400, body(message, 'invalid_request_error')),
  unknownRoute: () => jsonAnswer(404, body('Not found', 'not_found_error')),
};

function body(message: string, type: string): Json {
  return { type: 'error', error: { type, message }, request_id: 'req_simulated' };
}
