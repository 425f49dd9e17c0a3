import { isObject } from '../../core/json.ts';
import type { PoolDocument } from '../../core/policy/documents.ts';
import { type ErrorBody, readError } from './error-body.ts';
import type { Provider } from './types.ts';

/** What errors with this status cost. The first row that fits counts; what fits none costs the bound of its call. */
export interface ErrorRow {
  readonly status: number;
  /** One of these is the error's code, type, inner code (Azure) or `metadata.error_type` (OpenRouter). Default: any. */
  readonly codes?: readonly string[];
  /** True: only with an error in JSON, which a server in between does not write. Default: any body. */
  readonly ownBody?: true;
  /** `nothing unless it ran`: nothing if the pool says `freeErrors`, otherwise the bound. */
  readonly costs: 'nothing' | 'bound' | 'nothing unless it ran';
}

/**
 * The rows of every provider: answers of a server that did not carry out the call. What the statuses mean:
 * developers.openai.com/api/docs/guides/error-codes, platform.claude.com/docs/en/api/errors,
 * ai.google.dev/gemini-api/docs/troubleshooting, docs.mistral.ai/resources/error-glossary,
 * openrouter.ai/docs/api/reference/errors-and-debugging. That they are not billed is stated only for Gemini's 400 and 500
 * (ai.google.dev/gemini-api/docs/billing), Azure's 401 and 429 (learn.microsoft.com/azure/ai-foundry/openai/how-to/manage-costs)
 * and flex's 429 at OpenAI (…/guides/flex-processing). Elsewhere it is assumed, because such an answer carries no usage.
 */
export const refusals: readonly ErrorRow[] = [
  // Redirects ask for the request at another place: RFC 9110, 15.4. 303 is none of them, because it may follow finished work.
  ...[301, 302, 307, 308].map(nothing),
  // Validation, and requests that HTTP itself rejects (RFC 9110, 15.5).
  ...[400, 404, 405, 409, 411, 413, 414, 415, 422, 431].map(nothing),
  // Authentication, money and permission.
  ...[401, 402, 403].map(nothing),
  // Limits and overload. 529 is Anthropic's `overloaded_error`.
  ...[429, 503, 529].map(nothing),
  // Cloudflare reached no server behind it: it "refuses connections" (521), Cloudflare "cannot contact" it (523). A server may have
  // been reached before 522 ("after a connection is established"), and was before 520 and 524.
  // developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors
  ...[521, 523].map(nothing),
];

/**
 * What Azure refuses after it has read the prompt, also behind a gateway: "If the service performs processing, you're charged even
 * if the status code isn't successful (not 200). For example, a 400 error due to a content filter or input limit, or a 408 error due
 * to a timeout" (learn.microsoft.com/azure/ai-foundry/openai/how-to/manage-costs). The filter is asynchronous, so "a charge for both
 * the prompt and completion tokens occurs" (learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter): the bound counts.
 */
export const contentFilter: ErrorRow = {
  status: 400,
  // The second and third are of its image models (learn.microsoft.com/azure/ai-foundry/openai/how-to/dall-e).
  codes: ['content_filter', 'contentFilter', 'content_policy_violation', 'ResponsibleAIPolicyViolation'],
  costs: 'bound',
};
export const inputLimit: ErrorRow = { status: 400, codes: ['context_length_exceeded'], costs: 'bound' };

/** Servers of unknown make and gateways may have generated before they failed. Only the pool's owner knows. */
export const maybeRan: readonly ErrorRow[] = [500, 502].map((status) => ({ status, costs: 'nothing unless it ran' }));

function nothing(status: number): ErrorRow {
  return { status, costs: 'nothing' };
}

/** True if the provider bills nothing for an error answer, or for an error within a 200 answer. */
export function isFree(provider: Provider, pool: PoolDocument, answer: { readonly status: number; readonly body: string }): boolean {
  const error = readError(answer.body);
  const status = answer.status === 200 ? provider.statusWithin(error) : answer.status;
  const row = provider.errors.find((each) => fits(each, status, error));
  if (row === undefined || row.costs === 'bound') return false;
  return row.costs === 'nothing' || pool.freeErrors === true;
}

function fits({ status, codes, ownBody }: ErrorRow, actual: number, error: ErrorBody): boolean {
  if (status !== actual || (ownBody === true && error.message === '' && error.code === '' && error.type === '')) return false;
  return codes === undefined || codesOf(error).some((code) => codes.some((each) => each === code));
}

function codesOf({ code, type, object }: ErrorBody): readonly unknown[] {
  const inner = object['innererror'] ?? object['inner_error'];
  const canonical = isObject(object['metadata']) ? object['metadata']['error_type'] : undefined;
  return [code, type, isObject(inner) ? inner['code'] : undefined, canonical];
}

/** Members in which answers carry generated text, some also errors: Groq's `failed_generation` holds what the model wrote. */
const outputMembers = ['choices', 'candidates', 'output', 'content', 'completion', 'failed_generation'];
const usageMembers = ['usage', 'usageMetadata'];

/** True if an error's JSON value shows that the model ran, by generated text or by usage. */
export function showsWork(value: unknown): boolean {
  const top = Array.isArray(value) ? value[0] : value;
  if (!isObject(top)) return false;
  const places = [top, top['error'], top['response']].filter(isObject);
  return places.some((place) => outputMembers.some((name) => isFilled(place[name])) || usageMembers.some((name) => isObject(place[name])));
}

function isFilled(value: unknown): boolean {
  if (typeof value === 'string' || Array.isArray(value)) return value.length > 0;
  return isObject(value);
}
