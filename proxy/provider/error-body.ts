import { isObject, type JsonObject, parseJson } from '../../core/json.ts';

/** The fields of an error body that decide its class. Messages may quote the caller, so they are matched only at their start. */
export interface ErrorBody {
  /** `error.code`, or `error.error_code`; numbers as text. */
  readonly code: string;
  readonly type: string;
  readonly message: string;
  /** The error object itself, for fields of a single provider. */
  readonly object: JsonObject;
}

/**
 * Finds the error object of a JSON answer or of a stream's first error event: `{error}`, `[{error}]`, `{response: {error}}`, or
 * the object itself (OpenAI Responses `error` events, Mistral; xAI with `error` as its message). If there is none, the texts are empty.
 */
export function readError(body: string): ErrorBody {
  const object = findError(parseJson(body));
  return {
    code: text(object['code']),
    type: text(object['type']),
    message: text(object['message'] ?? object['detail'] ?? object['error']),
    object,
  };
}

/** The HTTP status that is the code of an error within a 200 answer (Gemini, OpenRouter); otherwise 200. */
export function statusInCode({ code }: ErrorBody): number {
  return /^[45]\d\d$/.test(code) ? Number(code) : 200;
}

function findError(value: unknown): JsonObject {
  const top = Array.isArray(value) ? value[0] : value;
  if (!isObject(top)) return {};
  if (isObject(top['error'])) return top['error'];
  return isObject(top['response']) && isObject(top['response']['error']) ? top['response']['error'] : top;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';
}
