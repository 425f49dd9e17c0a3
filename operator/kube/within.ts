/** The API server's answer, or a rejection after `timeoutMs`; the request may go on. */
export function within<T>(timeoutMs: number, answer: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`the API server did not answer within ${timeoutMs} ms`)), timeoutMs);
  return Promise.race([answer, late.promise]).finally(() => clearTimeout(timer));
}
