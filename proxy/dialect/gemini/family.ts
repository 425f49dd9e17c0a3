import { type Refusal, refusalTable } from '../../../core/errors.ts';
import { defined } from '../../../core/json.ts';
import type { Family, ShownModel } from '../types.ts';

/** `google.rpc.Code`, by HTTP status. */
const rpcCodes: Readonly<Record<number, string>> = {
  401: 'UNAUTHENTICATED',
  402: 'RESOURCE_EXHAUSTED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  429: 'RESOURCE_EXHAUSTED',
  500: 'INTERNAL',
  502: 'UNAVAILABLE',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
};
const methods = ['generateContent', 'streamGenerateContent', 'countTokens', 'embedContent'];

/** google.rpc.Status with ErrorInfo, whose reasons are in capitals; `metadata.code` has our code unchanged. */
function errorBody({ code, message, retryAfterSeconds }: Refusal, requestId: string): object {
  const { status } = refusalTable[code];
  const info = {
    '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
    reason: code.toUpperCase(),
    domain: 'keyforge.dev',
    metadata: { code, requestId },
  };
  const retry = { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: `${retryAfterSeconds}s` };
  const details = retryAfterSeconds === undefined ? [info] : [info, retry];
  return { error: { code: status, message, status: rpcCodes[status] ?? 'INVALID_ARGUMENT', details } };
}

/** Google's API. */
export const geminiFamily: Family = {
  queryParameters: ['alt=sse', '$alt=sse', '%24alt=sse', 'alt=json', '$alt=json', '%24alt=json'],
  errorBody,
  streamError(refusal, requestId, framing) {
    const body = JSON.stringify(errorBody(refusal, requestId));
    return framing === 'array' ? `,${body}]` : `data: ${body}\r\n\r\n`;
  },
  model,
  modelList: (models) => ({ models: models.map(model) }),
};

function model({ id, contextTokens, maxOutputTokens }: ShownModel): object {
  const limits = defined({ inputTokenLimit: contextTokens, outputTokenLimit: maxOutputTokens });
  return { name: `models/${id}`, displayName: id, ...limits, supportedGenerationMethods: methods };
}
