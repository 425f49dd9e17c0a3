import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import type { ControlPort } from '../core/protocol/control.ts';
import type { BodyReader } from './dialect/json.ts';
import type { ByteBudget } from './intake/byte-budget.ts';
import type { Connections } from './intake/connections.ts';
import type { ProxyLimits } from './limits.ts';
import type { ActiveKeys } from './link/active-keys.ts';
import type { ConcurrentCalls } from './link/concurrent-calls.ts';
import type { Drains } from './link/drains.ts';
import type { Metrics } from './metrics.ts';
import type { AnswerSizes } from './money/answer-sizes.ts';
import type { TokenCounts } from './money/token-counts.ts';
import type { Pace } from './stages/pace.ts';
import type { UpstreamDeps } from './upstream/upstream.ts';

/** What all requests share. */
export interface ProxyContext {
  readonly activeKeys: ActiveKeys;
  readonly control: ControlPort;
  readonly upstream: UpstreamDeps;
  readonly drains: Drains;
  readonly metrics: Metrics;
  readonly limits: ProxyLimits;
  /** Shared by all bodies in receipt and in flight. */
  readonly bodies: ByteBudget;
  readonly connections: Connections;
  readonly bodyReader: BodyReader;
  readonly concurrentCalls: ConcurrentCalls;
  readonly pace: Pace;
  readonly logger: Logger;
  readonly tokenCounts: TokenCounts;
  readonly answerSizes: AnswerSizes;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Milliseconds of a monotonic clock. */
  readonly monotonic: () => number;
  readonly newId: () => string;
}

/** One request on the agent's port, and its response. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
}
