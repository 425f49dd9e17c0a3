/** Limits of the data plane; their defaults are below. */
export interface ProxyLimits {
  /** Request body. Too low: images are refused. Too high: memory use grows. */
  readonly bodyBytes: number;
  /** All request bodies in receipt and in flight. Default: what the memory of the process allows, from `bodyBudgetBytes`. */
  readonly bodiesBytes?: number;
  /** Request line and headers together. */
  readonly headerBytes: number;
  /** From the first byte of a request to the last byte of its body. The proxy disconnects a slower client. */
  readonly requestTimeoutMs: number;
  /** If a client reads no bytes of its answer for this time, it counts as disconnected. */
  readonly stalledClientMs: number;
  /** Idle keep-alive connections. */
  readonly keepAliveMs: number;
  readonly connections: number;
  /** Maximum of drains: calls whose client has left. Beyond it, a call is cut and charged at its bound. */
  readonly drains: number;
  readonly drainMs: number;
  /** After SIGTERM calls in flight may finish for this time. */
  readonly shutdownMs: number;
  /** Maximum time that a call waits for money. Too low: calls are refused that the end of a call in flight would pay for. */
  readonly grantWaitMs: number;
}

export const defaultLimits: ProxyLimits = {
  bodyBytes: 32 * 1024 * 1024,
  headerBytes: 32 * 1024,
  requestTimeoutMs: 60_000,
  stalledClientMs: 120_000,
  keepAliveMs: 65_000,
  connections: 4096,
  drains: 64,
  drainMs: 120_000,
  shutdownMs: 20_000,
  grantWaitMs: 30_000,
};
