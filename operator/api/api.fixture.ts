import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { pino } from 'pino';
import { createChain } from '../../core/audit/chain.ts';
import { defined } from '../../core/json.ts';
import { keyName } from '../../core/names.ts';
import { encodeEntries } from '../../core/protocol/entry-wire.ts';
import { type Bench, openBench } from '../broker.fixture.ts';
import { callBody } from '../evidence/evidence.fixture.ts';
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

export function withApi(check: (api: Api) => Promise<void>): () => Promise<void> {
  return async () => {
    const bench = openBench();
    bench.declare({ 'agents/bot': capped, 'agents/team': { ...capped, issueToken: false } });
    const server = await listenAdmin(createAdminApi({ desk: bench.broker.desk, token, logger: pino({ level: 'silent' }) }), {
      host: '127.0.0.1',
      port: 0,
    });
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
  const money = { atLeastNano: nano, boundNano: nano, wantNano: nano, atLeastRequests: 0, wantRequests: 0, tokens: 0 } as const;
  const reply = await broker.grant({ stream, epoch, head: 0, askId: 'a', ...money });
  assert.ok('grant' in reply, JSON.stringify(reply));
  const grant = reply.grant.id;
  await ship({ ...callBody([{ costNanoUsd: String(nano), grant }]), path: [], requestId, estimated: true, time });
  return grant;
}
