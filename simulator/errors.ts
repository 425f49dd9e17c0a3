import type { Fault } from './faults.ts';
import type { Family, Json } from './types.ts';

/** A whole answer that is not a success. */
export interface ErrorAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer;
}

const json = { 'content-type': 'application/json' };

function answer(status: number, body: Json, headers: Readonly<Record<string, string>> = {}): ErrorAnswer {
  return { status, headers: { ...json, ...headers }, body: JSON.stringify(body) };
}

function openai(message: string, type: string, code: string | null, param: string | null = null): Json {
  return { error: { message, type, param, code } };
}

function anthropic(message: string, type: string): Json {
  return { type: 'error', error: { type, message }, request_id: 'req_simulated' };
}

function gemini(code: number, message: string, status: string, details: readonly Json[] = []): Json {
  return { error: { code, message, status, ...(details.length === 0 ? {} : { details }) } };
}

/** 429 of a per-minute limit, with the headers and details that tell when to come back. */
export function rateLimited(family: Family, model: string, retryAfterSeconds: number): ErrorAnswer {
  const seconds = String(retryAfterSeconds);
  switch (family) {
    case 'openai':
      return answer(
        429,
        openai(
          `Rate limit reached for ${model} on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in ${seconds}s.`,
          'requests',
          'rate_limit_exceeded',
        ),
        {
          'retry-after': seconds,
          'retry-after-ms': String(retryAfterSeconds * 1000),
          'x-ratelimit-limit-requests': '3',
          'x-ratelimit-remaining-requests': '0',
          'x-ratelimit-reset-requests': `${seconds}s`,
        },
      );
    case 'anthropic':
      return answer(
        429,
        anthropic('This request would exceed the rate limit for your organization of 50 requests per minute.', 'rate_limit_error'),
        { 'retry-after': seconds, 'anthropic-ratelimit-requests-limit': '50', 'anthropic-ratelimit-requests-remaining': '0' },
      );
    case 'gemini':
      return answer(
        429,
        gemini(429, `You exceeded your current quota. Please retry in ${seconds}s.`, 'RESOURCE_EXHAUSTED', [
          {
            '@type': 'type.googleapis.com/google.rpc.QuotaFailure',
            violations: [{ quotaId: 'GenerateRequestsPerMinutePerProjectPerModel', quotaDimensions: { model } }],
          },
          { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: `${seconds}s` },
        ]),
      );
  }
}

/** The account has no money left. */
export function insufficientQuota(family: Family): ErrorAnswer {
  switch (family) {
    case 'openai':
      return answer(
        429,
        openai(
          'You exceeded your current quota, please check your plan and billing details.',
          'insufficient_quota',
          'credit_balance_exhausted',
        ),
      );
    case 'anthropic':
      return answer(402, anthropic('Your credit balance is too low to access the Anthropic API.', 'billing_error'));
    case 'gemini':
      return answer(
        429,
        gemini(429, 'You exceeded your current quota, please check your plan and billing details.', 'RESOURCE_EXHAUSTED', [
          {
            '@type': 'type.googleapis.com/google.rpc.QuotaFailure',
            violations: [{ quotaId: 'GenerateRequestsPerDayPerProjectPerModel' }],
          },
        ]),
      );
  }
}

/** The credential is not known. The key itself is never repeated, though OpenAI's real message shows a part of it. */
export function unauthorized(family: Family): ErrorAnswer {
  switch (family) {
    case 'openai':
      return answer(401, openai('Incorrect API key provided.', 'invalid_request_error', 'invalid_api_key'));
    case 'anthropic':
      return answer(401, anthropic('invalid x-api-key', 'authentication_error'), { 'x-should-retry': 'false' });
    case 'gemini':
      return answer(401, gemini(401, 'API key not valid. Please pass a valid API key.', 'UNAUTHENTICATED'));
  }
}

/** 402, as Anthropic and OpenRouter send it. */
export function billing(family: Family): ErrorAnswer {
  if (family === 'anthropic') return insufficientQuota(family);
  return answer(402, openai('Insufficient credits.', 'billing_error', 'insufficient_credits'));
}

/** The vendor as a whole has too much to do. */
export function overloaded(family: Family): ErrorAnswer {
  switch (family) {
    case 'openai':
      return answer(503, openai('The engine is currently overloaded, please try again later', 'server_error', 'server_is_overloaded'), {
        'retry-after': '1',
      });
    case 'anthropic':
      return answer(529, anthropic('Overloaded', 'overloaded_error'), { 'x-should-retry': 'true' });
    case 'gemini':
      return answer(503, gemini(503, 'The model is overloaded. Please try again later.', 'UNAVAILABLE'));
  }
}

/** 500 with the provider's JSON. */
export function serverError(family: Family): ErrorAnswer {
  switch (family) {
    case 'openai':
      return answer(500, openai('The server had an error while processing your request.', 'server_error', null));
    case 'anthropic':
      return answer(500, anthropic('Internal server error', 'api_error'));
    case 'gemini':
      return answer(500, gemini(500, 'An internal error has occurred.', 'INTERNAL'));
  }
}

/** What a CDN says when the provider is gone. */
export function badGateway(): ErrorAnswer {
  const body =
    '<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n';
  return { status: 502, headers: { 'content-type': 'text/html' }, body };
}

/** The model is not in the price list. */
export function unknownModel(family: Family, model: string): ErrorAnswer {
  switch (family) {
    case 'openai':
      return answer(
        404,
        openai(`The model \`${model}\` does not exist or you do not have access to it.`, 'invalid_request_error', 'model_not_found'),
      );
    case 'anthropic':
      return answer(404, anthropic(`model: ${model}`, 'not_found_error'));
    case 'gemini':
      return answer(404, gemini(404, `models/${model} is not found for API version v1beta.`, 'NOT_FOUND'));
  }
}

/** The request is wrong in itself. */
export function badRequest(family: Family, message: string, param?: string): ErrorAnswer {
  switch (family) {
    case 'openai':
      return answer(400, openai(message, 'invalid_request_error', null, param ?? null));
    case 'anthropic':
      return answer(400, anthropic(message, 'invalid_request_error'));
    case 'gemini':
      return answer(400, gemini(400, message, 'INVALID_ARGUMENT'));
  }
}

/** No such route. */
export function unknownRoute(family: Family): ErrorAnswer {
  switch (family) {
    case 'openai':
      return answer(404, openai('Invalid URL', 'invalid_request_error', null));
    case 'anthropic':
      return answer(404, anthropic('Not found', 'not_found_error'));
    case 'gemini':
      return answer(404, gemini(404, 'Requested entity was not found.', 'NOT_FOUND'));
  }
}

/** The whole answer that a fault stands for; null where it bends a success instead. */
export function faultAnswer(fault: Fault | undefined, family: Family, model: string): ErrorAnswer | null {
  switch (fault?.kind) {
    case 'rate_limited':
      return rateLimited(family, model, fault.retryAfterSeconds ?? 20);
    case 'insufficient_quota':
      return insufficientQuota(family);
    case 'unauthorized':
      return unauthorized(family);
    case 'billing':
      return billing(family);
    case 'overloaded':
      return overloaded(family);
    case 'server_error':
      return serverError(family);
    case 'bad_gateway':
      return badGateway();
    case 'redirect':
      return { status: 307, headers: { location: fault.location }, body: '' };
    case 'answer':
      return fault;
    default:
      return null;
  }
}
