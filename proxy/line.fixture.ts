import type { TestContext } from 'node:test';
import { pino } from 'pino';
import type { PaidFrom, ProxyBody } from '../core/audit/types.ts';
import type { Reservation } from '../core/budget/types.ts';
import { Wallet } from '../core/budget/wallet.ts';
import type { Refusal } from '../core/errors.ts';
import type { NanoUsd } from '../core/money.ts';
import { type KeyName, keyName, type PoolName, poolName, type StreamId, tokenId } from '../core/names.ts';
import type { KeyDocument, PoolDocument } from '../core/policy/documents.ts';
import type { Demand } from '../core/price/demand.ts';
import type { ModelPrice, Usage } from '../core/price/types.ts';
import { type ControlPort, ControlUnavailable } from '../core/protocol/control.ts';
import type { GrantDenial } from '../core/protocol/money.ts';
import { mintToken } from '../core/token.ts';
import type { ProxyContext } from './context.ts';
import { createPools } from './credentials/pool.ts';
import { BodyReader } from './dialect/json.ts';
import type { RefusedCall } from './evidence/refusal-groups.ts';
import { SpoolUnavailable } from './evidence/spool/spool.ts';
import { ByteBudget } from './intake/byte-budget.ts';
import { Connections } from './intake/connections.ts';
import { defaultLimits } from './limits.ts';
import { createActiveKeys } from './link/active-keys.ts';
import { ConcurrentCalls } from './link/concurrent-calls.ts';
import { createDrains, type Drains } from './link/drains.ts';
import { createMetrics, type Gauges } from './metrics.ts';
import { AnswerSizes } from './money/answer-sizes.ts';
import type { Funds } from './money/funds.ts';
import { TokenCounts } from './money/token-counts.ts';
import type { Caller } from './stages/authenticate.ts';
import { Pace } from './stages/pace.ts';
import { Opinions } from './upstream/opinions.ts';
import { createOrigins, defaultUpstreamSettings } from './upstream/origins.ts';

export const bot: KeyName = keyName('agents', 'bot');
export const openai: PoolName = poolName('platform', 'openai');

/** For tests: nothing is going on. */
export const quietGauges: Gauges = {
  isKnown: () => true,
  inFlight: () => 0,
  waiting: () => 0,
  bodies: { usedBytes: 0, waiting: 0 },
  atProviders: () => ({ used: 0, waiting: 0 }),
  unshippedEntries: () => 0,
  deniedRetries: () => [],
  healthyCredentials: () => [],
};

/** An uncapped key that may call everything in one pool. */
export function keyDocument(more: Partial<KeyDocument> = {}): KeyDocument {
  return {
    key: bot,
    path: [keyName('platform', 'team-ml')],
    owner: { team: 'ml' },
    labels: { project: 'atlas' },
    pools: [openai],
    models: { allow: [], deny: [], aliases: {} },
    perRequest: {},
    counted: false,
    digest: 'sha256:policy',
    ...more,
  };
}

/** One nano-USD for a token of input, two for one of output, so that sums can be read. */
export function price(more: Partial<ModelPrice> = {}, inputNano = 1, outputNano = 2): ModelPrice {
  const input = inputNano * 1000;
  const output = outputNano * 1000;
  const rates = {
    ...{ input, cachedInput: input, cacheWrite: input, cacheWrite1h: input },
    ...{ inputAudio: input, cachedInputAudio: input, inputImage: input, inputVideo: input, inputDocument: input },
    ...{ output, reasoning: output, outputAudio: output, outputImage: output },
  };
  return { rates, tiers: [], fees: {}, percent: {}, ...more };
}

/** A pool that prices `m` alone. */
export function poolDocument(more: Partial<PoolDocument> = {}): PoolDocument {
  return {
    pool: openai,
    provider: 'OpenAI',
    endpoint: 'https://api.openai.com',
    keys: [{ name: 'proj-a', quotaScope: 'org-1' }],
    models: [],
    book: [{ id: 'm', match: { equals: 'm' }, price: price() }],
    freeFields: [],
    learned: {},
    priceBookDigest: 'sha256:prices',
    ...more,
  };
}

/** A request of `textTokens` of plain text. */
export function demand(textTokens: number, more: Partial<Demand> = {}): Demand {
  return {
    ...{ textTokens, pictures: [], media: {}, features: [], inputReads: 1, cacheWrite: 'none' },
    ...{ choices: 1, extraOutputTokens: 0, outputs: [], anyOutput: false, fees: {}, servings: [] },
    ...more,
  };
}

export function usage(input: number, output: number, more: Partial<Usage> = {}): Usage {
  return { input, cachedInput: 0, cacheWrite: 0, output, reasoning: 0, ...more };
}

export interface Purse extends Funds {
  readonly entries: readonly ProxyBody[];
  /** Calls with an open record. */
  readonly opened: readonly string[];
  /** What was recorded as the cost of an open call. */
  readonly outcomes: readonly { readonly requestId: string; readonly costNano: NanoUsd }[];
  /** Refusals that were offered to be counted. */
  readonly refused: readonly RefusedCall[];
  freeNano(): NanoUsd;
  reservedNano(): NanoUsd;
  /** Makes the spool refuse all further records. */
  fill(): void;
}

/** Funds without a ledger: one grant `g-1`, and a denial when that is not enough. */
export function createPurse(
  amountNano: NanoUsd,
  plan: { readonly denial?: GrantDenial; readonly nothingLeft?: GrantDenial; readonly notReady?: Refusal; readonly counts?: true } = {},
): Purse {
  const wallet = new Wallet();
  wallet.deposit({ id: 'g-1', key: bot, amountNano, requests: 1000, tokens: 1e9, validAfterMs: 0 }, 0);
  const entries: ProxyBody[] = [];
  const opened: string[] = [];
  const outcomes: { requestId: string; costNano: NanoUsd }[] = [];
  const refused: RefusedCall[] = [];
  let full = false;

  function write<T>(to: T[], value: T): void {
    if (full) throw new SpoolUnavailable('full');
    to.push(value);
  }

  return {
    stream: `${bot}@i-1` as StreamId,
    entries,
    opened,
    outcomes,
    refused,
    ready: () => Promise.resolve(plan.notReady ?? null),
    reserve(need) {
      const result = wallet.reserve(need, 0, need.atLeastNano);
      return 'kind' in result ? Promise.resolve(plan.denial ?? exhausted(result.heldNano ?? 0)) : result;
    },
    openCall: (requestId: string, _reservation: Reservation) => write(opened, requestId),
    noteOutcome: (requestId, costNano) => void outcomes.push({ requestId, costNano }),
    settle: (reservation, costNano, tokens): readonly PaidFrom[] => wallet.settle(reservation, costNano, tokens),
    cancel: (reservation) => wallet.cancel(reservation),
    record: (body) => write(entries, body),
    countRefusal: (_requestId, call) => refused.push(call) > 0 && plan.counts === true,
    remainingNano: () => wallet.heldNano() - wallet.reservedNano(),
    waiting: () => 0,
    nothingLeft: () => plan.nothingLeft ?? null,
    recall: () => {},
    tick: () => {},
    halt: () => {},
    close: () => Promise.resolve(),
    freeNano: () => wallet.heldNano() - wallet.reservedNano(),
    reservedNano: () => wallet.reservedNano(),
    fill() {
      full = true;
    },
  };
}

function exhausted(availableNano: NanoUsd): GrantDenial {
  return { code: 'budget_exhausted', limitedBy: `${bot} Day`, message: 'The Day budget is spent', availableNano };
}

/** A control port that is unreachable, except for the given calls. */
export function createControl(given: Partial<ControlPort> = {}): ControlPort {
  const away = (): Promise<never> => Promise.reject(new ControlUnavailable('away'));
  return {
    ...{
      open: away,
      ship: away,
      grant: away,
      account: away,
      answerTokens: away,
      mint: away,
      children: away,
      unmint: away,
      watch: () => () => {},
    },
    ...given,
  };
}

export interface Plan {
  readonly document?: Partial<KeyDocument>;
  readonly pools?: readonly PoolDocument[];
  readonly control?: Partial<ControlPort>;
  readonly purse?: Purse;
  readonly drains?: Drains;
}

export interface World {
  readonly context: ProxyContext;
  readonly token: string;
  readonly purse: Purse;
  readonly clock: { ms: number };
  /** The caller that `authenticate` finds. */
  caller(): Caller;
  /** Text of `/metrics`. */
  metrics(): Promise<string>;
}

/** The context of a proxy that serves one key, with a purse for its funds; its credentials are worth `sk-<name>`. */
export function createWorld(t: TestContext, plan: Plan = {}): World {
  const token = mintToken();
  const purse = plan.purse ?? createPurse(1_000_000);
  const clock = { ms: Date.UTC(2026, 10, 20, 10) };
  const now = (): number => clock.ms;
  const activeKeys = createActiveKeys({ openFunds: () => purse, now });
  const pools = createPools({ clock: now });
  const documents = plan.pools ?? [poolDocument()];
  const credentials = documents.flatMap(({ pool, keys }) => keys.map(({ name }) => ({ pool, name, value: `sk-${name}` })));
  const tokens = [{ id: tokenId(token), hint: '' }];
  activeKeys.apply({
    kind: 'snapshot',
    revision: 1,
    keys: [{ document: keyDocument(plan.document), tokens }],
    pools: documents,
    credentials,
  });
  pools.update(documents, credentials);
  const origins = createOrigins(defaultUpstreamSettings, () => performance.now());
  t.after(() => Promise.all([origins.close(), activeKeys.close()]));
  const metrics = createMetrics(quietGauges);
  let ids = 0;
  const context: ProxyContext = {
    activeKeys,
    control: createControl(plan.control),
    upstream: {
      origins,
      pools,
      settings: defaultUpstreamSettings,
      opinions: new Opinions({ origins, settings: defaultUpstreamSettings, clock: now }),
      clock: now,
    },
    drains: plan.drains ?? createDrains(defaultLimits),
    metrics,
    limits: defaultLimits,
    bodyReader: new BodyReader(),
    concurrentCalls: new ConcurrentCalls(),
    pace: new Pace({ monotonic: () => performance.now() }),
    connections: new Connections(defaultLimits, now),
    bodies: new ByteBudget({ totalBytes: 64 * 1024 * 1024 }),
    logger: pino({ level: 'silent' }),
    tokenCounts: new TokenCounts(now),
    answerSizes: new AnswerSizes({ answerTokens: () => Promise.resolve(null) }),
    now,
    monotonic: now,
    newId: () => `req_${++ids}`,
  };
  return {
    context,
    token,
    purse,
    clock,
    caller() {
      const found = activeKeys.byKey(bot);
      if (found === undefined) throw new Error('the key is not active');
      return { active: found, tokenId: tokenId(token) };
    },
    metrics: () => metrics.registry.metrics(),
  };
}
