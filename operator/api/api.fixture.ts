import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { pino } from 'pino';
import { createChain } from '../../core/audit/chain.ts';
import { defined } from '../../core/json.ts';
import { keyName, poolName } from '../../core/names.ts';
import { encodeEntries } from '../../core/protocol/entry-wire.ts';
import { type Bench, openBench } from '../broker.fixture.ts';
import { callBody } from '../evidence/evidence.fixture.ts';
import type { BoundDesk } from '../ledger/learn.ts';
import type { PriceDesk } from '../prices/desk.ts';
import type { LearnedRow } from '../store/types.ts';
import { createAdminApi } from './app.ts';
import { listenAdmin } from './server.ts';

const capped = { limits: [{ window: 'Total', usd: '1.00' }] };
export const token = 'the-admin-token';

export interface Api {
  readonly bench: Bench;
  readonly url: string;
  call(
    method: string,
    path: string,
    headers?: Readonly<Record<string, string>>,
    body?: string,
  ): Promise<{ readonly status: number; readonly body: unknown }>;
}

/** One model waits until it is acknowledged. */
export function waitingPrices(): PriceDesk {
  const waits = [{ class: 'input', reason: 'fell' as const, from: 3_000_000, to: 1_000_000, inForce: 3_000_000 }];
  let waiting = [{ provider: 'OpenAI' as const, model: 'gpt-5.4', waits }];
  return {
    waiting: () => waiting,
    acknowledge(provider, model) {
      const accepted = waiting.filter((one) => one.provider === provider && (model === undefined || one.model === model));
      waiting = waiting.filter((one) => !accepted.includes(one));
      return accepted.map((one) => one.model);
    },
  };
}

/** One bound is wider, and one feature refused. */
export function taughtBounds(): BoundDesk {
  const pool = poolName('keyforge-system', 'openai');
  let rows: readonly LearnedRow[] = [
    { pool, model: 'gpt-5.4', feature: 'tools', percent: 130, refused: false },
    { pool, model: 'gpt-5.4', feature: 'audio', percent: 100, refused: true },
  ];
  return {
    learned: () => rows,
    acknowledge(lessons) {
      const cleared = rows.filter((row) => row.pool === lessons.pool && (lessons.feature === undefined || row.feature === lessons.feature));
      rows = rows.filter((row) => !cleared.includes(row));
      return cleared;
    },
  };
}

export function withApi(check: (api: Api) => Promise<void>): () => Promise<void> {
  return async () => {
    const bench = openBench();
    bench.declare({ 'agents/bot': capped, 'agents/team': { ...capped, issueToken: false } });
    const api = createAdminApi({
      desk: bench.broker.desk,
      prices: waitingPrices(),
      bounds: taughtBounds(),
      token,
      logger: pino({ level: 'silent' }),
    });
    const server = await listenAdmin(api, { host: '127.0.0.1', port: 0 });
    const call: Api['call'] = async (method, path, headers = { authorization: `Bearer ${token}` }, body = undefined) => {
      const response = await fetch(server.url + path, { method, headers, ...defined({ body }) });
      return { status: response.status, body: await response.json() };
    };
    try {
      await check({ bench, url: server.url, call });
    } finally {
      await server.close();
      bench.close();
    }
  };
}

/** The code of an error's body. */
export function codeOf(body: unknown): string {
  return (body as { readonly error: { readonly code: string } }).error.code;
}

/** Lets a proxy of its own call for `agents/bot`, at an estimated cost; returns the grant that paid. */
export async function estimatedCall({ broker }: Bench, requestId: string, nano: number): Promise<string> {
  const bot = keyName('agents', 'bot');
  const { stream, epoch, nonce, chainKey } = await broker.open({ key: bot, instance: requestId });
  const chain = createChain({ stream, epoch, key: Buffer.from(chainKey, 'hex') });
  const ship = (body: Parameters<typeof chain.append>[0]) => broker.ship({ entries: encodeEntries([chain.append(body, randomBytes)]) });
  const time = new Date().toISOString();
  await ship({ v: 1, type: 'epoch_open', time, key: bot, instance: requestId, nonce, bootId: 'boot' });
  const money = {
    atLeastNano: nano,
    preferredNano: nano,
    boundNano: nano,
    wantNano: nano,
    atLeastRequests: 0,
    wantRequests: 0,
    tokens: 0,
  } as const;
  const reply = await broker.grant({ stream, epoch, head: 0, askId: 'a', ...money });
  assert.ok('grant' in reply, JSON.stringify(reply));
  const grant = reply.grant.id;
  await ship({ ...callBody([{ costNanoUsd: String(nano), grant }]), path: [], requestId, estimated: true, time });
  return grant;
}
