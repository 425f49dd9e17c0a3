/** Limits of the data plane; their defaults are below. */
export interface ProxyLimits {
  /** Request body. Too low: images are refused; too high: memory. */
  readonly bodyBytes: number;
  /** Request line and headers together. */
  readonly headerBytes: number;
  /** From the first byte of a request to the last of its body: a slower client is cut. */
  readonly requestTimeoutMs: number;
  /** A client that takes no bytes of its answer for this time has left. */
  readonly stalledClientMs: number;
  /** Idle keep-alive connections. */
  readonly keepAliveMs: number;
  readonly connections: number;
  /** Calls whose client has left, read on for their usage; past it they are cut and charged at their bound. */
  readonly drains: number;
  readonly drainMs: number;
  /** After SIGTERM calls in flight may finish for this time. */
  readonly shutdownMs: number;
  /** A call waits this long for money. */
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
  grantWaitMs: 2_000,
};
