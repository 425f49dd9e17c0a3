import { type Refusal, refusalTable } from '../../../core/errors.ts';
import { defined } from '../../../core/json.ts';
import type { Family, ShownModel } from '../types.ts';

/** The error types of Anthropic’s API documentation, by status. */
const errorTypes: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  415: 'invalid_request_error',
  429: 'rate_limit_error',
  503: 'overloaded_error',
  504: 'timeout_error',
};

function errorBody({ code, message }: Refusal, requestId: string): object {
  const type = errorTypes[refusalTable[code].status] ?? 'api_error';
  return { type: 'error', error: { type, message, code }, request_id: requestId };
}

/** Anthropic's API. */
export const anthropicFamily: Family = {
  queryParameters: ['beta=true'],
  // Anthropic rejects a call without a version. A client that sends none gets the first version.
  requiredHeader: { name: 'anthropic-version', value: '2023-06-01' },
  errorBody,
  streamError: (refusal, requestId) => `event: error\ndata: ${JSON.stringify(errorBody(refusal, requestId))}\n\n`,
  model,
  modelList: (models) => ({
    data: models.map(model),
    has_more: false,
    first_id: models.at(0)?.id ?? null,
    last_id: models.at(-1)?.id ?? null,
  }),
};

function model({ id, contextTokens, maxOutputTokens }: ShownModel): object {
  const limits = defined({ max_input_tokens: contextTokens, max_tokens: maxOutputTokens });
  return { type: 'model', id, display_name: id, created_at: '1970-01-01T00:00:00Z', ...limits };
}
