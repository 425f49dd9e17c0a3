import { type Refusal, type RefusalCode, refusalTable } from '../../../core/errors.ts';
import type { Family, ShownModel } from '../types.ts';

/** OpenRouter's fields that name further models. */
export const otherModels: readonly string[] = ['models', 'route', 'preset', 'fallbacks', 'lora_path'];

const errorTypes: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  402: 'insufficient_quota',
  403: 'permission_error',
  429: 'rate_limit_error',
};

function errorType(code: RefusalCode): string {
  const { status } = refusalTable[code];
  return errorTypes[status] ?? (status < 500 ? 'invalid_request_error' : 'server_error');
}

function errorOf({ code, message }: Refusal): object {
  return { message, type: errorType(code), param: null, code };
}

/** The API of OpenAI and of compatible servers. */
export const openaiFamily: Family = {
  queryParameters: [],
  errorBody: (refusal) => ({ error: errorOf(refusal) }),
  streamError: (refusal) => `data: ${JSON.stringify({ error: errorOf(refusal) })}\n\n`,
  model,
  modelList: (models) => ({ object: 'list', data: models.map(model) }),
};

function model({ id, provider }: ShownModel): object {
  return { id, object: 'model', created: 0, owned_by: provider };
}

/** The error that ends a Responses stream. OpenAI’s SDK raises the first event; Codex ignores it and acts on the second. */
export function responsesStreamError(refusal: Refusal, requestId: string): string {
  const { code, message } = refusal;
  const error = { type: 'error', sequence_number: 0, code, message, param: null, error: errorOf(refusal) };
  const response = {
    id: requestId,
    object: 'response',
    status: 'failed',
    error: { code, message },
    incomplete_details: null,
    output: [],
    usage: null,
  };
  const failed = { type: 'response.failed', sequence_number: 1, response };
  return `event: error\ndata: ${JSON.stringify(error)}\n\nevent: response.failed\ndata: ${JSON.stringify(failed)}\n\n`;
}
