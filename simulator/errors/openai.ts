import type { Json } from '../types.ts';
import { type FamilyErrors, jsonAnswer } from './types.ts';

/** OpenAI's. */
export const openaiErrors: FamilyErrors = {
  rateLimited(model, retryAfterSeconds) {
    const message = `Rate limit reached for ${model} on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in ${retryAfterSeconds}s.`;
    return jsonAnswer(429, body(message, 'requests', 'rate_limit_exceeded'), {
      'retry-after': String(retryAfterSeconds),
      'retry-after-ms': String(retryAfterSeconds * 1000),
      'x-ratelimit-limit-requests': '3',
      'x-ratelimit-remaining-requests': '0',
      'x-ratelimit-reset-requests': `${retryAfterSeconds}s`,
    });
  },
  insufficientQuota() {
    const message = 'You exceeded your current quota, please check your plan and billing details.';
    return jsonAnswer(429, body(message, 'insufficient_quota', 'credit_balance_exhausted'));
  },
  unauthorized: () => jsonAnswer(401, body('Incorrect API key provided.', 'invalid_request_error', 'invalid_api_key')),
  overloaded() {
    const message = 'The engine is currently overloaded, please try again later';
    return jsonAnswer(503, body(message, 'server_error', 'server_is_overloaded'), { 'retry-after': '1' });
  },
  serverError: () => jsonAnswer(500, body('The server had an error while processing your request.', 'server_error')),
  unknownModel(model) {
    const message = `The model \`${model}\` does not exist or you do not have access to it.`;
    return jsonAnswer(404, body(message, 'invalid_request_error', 'model_not_found'));
  },
  badRequest: (message, param) => jsonAnswer(400, body(message, 'invalid_request_error', null, param)),
  unknownRoute: () => jsonAnswer(404, body('Invalid URL', 'invalid_request_error')),
};

function body(message: string, type: string, code: string | null = null, param: string | null = null): Json {
  return { error: { message, type, param, code } };
}
