const pattern = /^[^\p{Cc}\p{Cs}]{1,500}$/u;

/** True for why an administrator does something, as the audit keeps it: one line of at most 500 characters. */
export function isReason(reason: unknown): reason is string {
  return typeof reason === 'string' && reason.trim() !== '' && pattern.test(reason);
}
