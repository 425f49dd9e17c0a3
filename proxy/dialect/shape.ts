import { type Refusal, type RefusalCode, refusalTable } from '../../core/errors.ts';
import type { DialectId, Family, Framing } from './types.ts';

/**
 * A refusal as the family’s own API would write it, as JSON text; `code` is ours and stable. SDKs pick their error
 * class by HTTP status and show `message`. Of `providerBody` nothing is read.
 */
export function errorBody(family: Family, refusal: Refusal, requestId: string): string {
  return JSON.stringify(errorValue(family, refusal, requestId));
}

function errorValue(family: Family, refusal: Refusal, requestId: string): object {
  switch (family) {
    case 'openai':
      return { error: openaiError(refusal) };
    case 'anthropic':
      return {
        type: 'error',
        error: { type: anthropicType(refusal.code), message: refusal.message, code: refusal.code },
        request_id: requestId,
      };
    case 'gemini':
      return { error: geminiError(refusal, requestId) };
  }
}

function openaiError({ code, message }: Refusal): object {
  return { message, type: openaiType(code), param: null, code };
}

function openaiType(code: RefusalCode): string {
  const { status } = refusalTable[code];
  switch (status) {
    case 401:
      return 'authentication_error';
    case 402:
      return 'insufficient_quota';
    case 403:
      return 'permission_error';
    case 429:
      return 'rate_limit_error';
    default:
      return status < 500 ? 'invalid_request_error' : 'server_error';
  }
}

/** The types of Anthropic’s API errors page, by status. */
function anthropicType(code: RefusalCode): string {
  switch (refusalTable[code].status) {
    case 400:
      return 'invalid_request_error';
    case 401:
      return 'authentication_error';
    case 402:
      return 'billing_error';
    case 403:
      return 'permission_error';
    case 404:
      return 'not_found_error';
    case 413:
      return 'request_too_large';
    case 429:
      return 'rate_limit_error';
    case 503:
      return 'overloaded_error';
    case 504:
      return 'timeout_error';
    default:
      return 'api_error';
  }
}

/** google.rpc.Status with ErrorInfo, whose reasons are written in capitals; `metadata.code` has ours as it is. */
function geminiError({ code, message, retryAfterSeconds }: Refusal, requestId: string): object {
  const { status } = refusalTable[code];
  const info = {
    '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
    reason: code.toUpperCase(),
    domain: 'keyforge.dev',
    metadata: { code, requestId },
  };
  const retry = { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: `${retryAfterSeconds}s` };
  return { code: status, message, status: geminiStatus(status), details: retryAfterSeconds === undefined ? [info] : [info, retry] };
}

function geminiStatus(status: number): string {
  switch (status) {
    case 401:
      return 'UNAUTHENTICATED';
    case 403:
      return 'PERMISSION_DENIED';
    case 404:
      return 'NOT_FOUND';
    case 402:
    case 429:
      return 'RESOURCE_EXHAUSTED';
    case 500:
      return 'INTERNAL';
    case 502:
    case 503:
      return 'UNAVAILABLE';
    case 504:
      return 'DEADLINE_EXCEEDED';
    default:
      return 'INVALID_ARGUMENT';
  }
}

/** The bytes that end a stream in flight with an error, after a whole event: SDKs raise it, and nothing looks like a clean end. */
export function streamError(dialect: DialectId, refusal: Refusal, requestId: string, framing: Framing = 'sse'): Buffer {
  switch (dialect) {
    case 'openai.responses':
      return Buffer.from(responsesError(refusal, requestId));
    case 'anthropic.messages':
    case 'anthropic.count_tokens':
      return Buffer.from(`event: error\ndata: ${errorBody('anthropic', refusal, requestId)}\n\n`);
    case 'gemini.generateContent':
    case 'gemini.countTokens':
    case 'gemini.embedContent': {
      const body = errorBody('gemini', refusal, requestId);
      return Buffer.from(framing === 'array' ? `,${body}]` : `data: ${body}\r\n\r\n`);
    }
    default:
      return Buffer.from(`data: ${errorBody('openai', refusal, requestId)}\n\n`);
  }
}

/** OpenAI’s SDK raises the first event; Codex passes it by and acts on the second. */
function responsesError(refusal: Refusal, requestId: string): string {
  const { code, message } = refusal;
  const error = { type: 'error', sequence_number: 0, code, message, param: null, error: openaiError(refusal) };
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

/** The models a key may call, as the family’s list endpoint would answer, as JSON text. */
export function modelList(family: Family, models: readonly { readonly id: string; readonly provider: string }[]): string {
  switch (family) {
    case 'openai':
      return JSON.stringify({
        object: 'list',
        data: models.map(({ id, provider }) => ({ id, object: 'model', created: 0, owned_by: provider })),
      });
    case 'anthropic': {
      const data = models.map(({ id }) => ({ type: 'model', id, display_name: id, created_at: '1970-01-01T00:00:00Z' }));
      return JSON.stringify({ data, has_more: false, first_id: data.at(0)?.id ?? null, last_id: data.at(-1)?.id ?? null });
    }
    case 'gemini':
      return JSON.stringify({
        models: models.map(({ id }) => ({ name: `models/${id}`, displayName: id, supportedGenerationMethods: geminiMethods })),
      });
  }
}

const geminiMethods = ['generateContent', 'streamGenerateContent', 'countTokens', 'embedContent'];
