/**
 * The one table of refusals. `status` is chosen so that no official SDK retries a final refusal.
 * (SDKs retry 408, 409, 429 and 5xx on status alone, and obey `x-should-retry`.)
 */
const table = {
  invalid_key: { status: 401, retryable: false },
  key_expired: { status: 401, retryable: false },
  key_revoked: { status: 401, retryable: false },
  model_denied: { status: 403, retryable: false },
  endpoint_denied: { status: 403, retryable: false },
  not_found: { status: 404, retryable: false },
  model_not_found: { status: 404, retryable: false },
  upgrade_required: { status: 426, retryable: false },
  invalid_request: { status: 400, retryable: false },
  too_large: { status: 413, retryable: false },
  unsupported_encoding: { status: 415, retryable: false },
  request_too_expensive: { status: 403, retryable: false },
  budget_exhausted: { status: 402, retryable: false },
  quota_exhausted: { status: 402, retryable: false },
  model_unpriced: { status: 403, retryable: false },
  unmeterable_request: { status: 403, retryable: false },
  budget_reserved: { status: 429, retryable: true },
  rate_limited: { status: 429, retryable: true },
  provider_limited: { status: 429, retryable: true },
  provider_unauthorized: { status: 502, retryable: false },
  provider_error: { status: 502, retryable: true },
  provider_timeout: { status: 504, retryable: true },
  grant_unavailable: { status: 503, retryable: true },
  policy_stale: { status: 503, retryable: true },
  audit_unavailable: { status: 503, retryable: true },
  overloaded: { status: 503, retryable: true },
  internal_error: { status: 500, retryable: true },
} as const;

/** A stable code of the agent-side HTTP contract; also a metric label and the `code` of an audit entry. */
export type RefusalCode = keyof typeof table;

/** HTTP status and retry advice of each code; `docs/errors.md` is checked against it. */
export const refusalTable: Readonly<Record<RefusalCode, { readonly status: number; readonly retryable: boolean }>> = table;

/** An expected refusal: a value that stages return. Only `respond` turns it into HTTP. */
export interface Refusal {
  readonly kind: 'refusal';
  readonly code: RefusalCode;
  /** What, which object, what to do. Shown to the caller; carries no secret. */
  readonly message: string;
  /** Whole seconds, at least 1; sent as `Retry-After`. */
  readonly retryAfterSeconds?: number;
  /** Overrides the table's advice if the wait is too long for a retry. */
  readonly retryable?: boolean;
  /** The account whose limit refused the call, e.g. `agents/bot Day`; copied into the entry. */
  readonly limitedBy?: string;
  /** The provider's own error body, kept for `provider_limited`; always JSON text. */
  readonly providerBody?: string;
}

/** Builds a refusal. */
export function refuse(code: RefusalCode, message: string, more: Partial<Omit<Refusal, 'kind' | 'code' | 'message'>> = {}): Refusal {
  return { kind: 'refusal', code, message, ...more };
}

/** True for a refusal, false for any other result of a stage. */
export function isRefusal(value: unknown): value is Refusal {
  return typeof value === 'object' && value !== null && (value as { kind?: unknown }).kind === 'refusal';
}
