import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type Chain, createChain } from '../../core/audit/chain.ts';
import type { CallBody, Entry, EpochRecoveredBody, PaidFrom, ProxyBody, RefusalsBody } from '../../core/audit/types.ts';
import { type KeyName, keyName, type StreamId, streamId, type TokenId } from '../../core/names.ts';
import type { AccountPlan } from '../../core/policy/documents.ts';
import { decodeEntries, encodeEntries } from '../../core/protocol/entry-wire.ts';
import type { OpenReply, ShipReply } from '../../core/protocol/evidence.ts';
import { grant } from '../ledger/ledger.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import type { EpochRow, Store } from '../store/types.ts';
import { openEpoch } from './epoch.ts';
import { ingest } from './ingest.ts';
import type { OwnDeps } from './own-stream.ts';

export const team: KeyName = keyName('platform', 'team');
export const bot: KeyName = keyName('agents', 'bot');
export const stream: StreamId = streamId(keyName('agents', 'bot'), 'i-1');
const time = '2026-11-20T10:00:00.000Z';

/** The accounts of `bot` while it descends from this key. */
export function planBelow(parent: KeyName): AccountPlan {
  const limits = (['Total', 'Day'] as const).map((window) => ({ window, usdNano: 1_000_000, timeZone: 'Etc/UTC' }));
  return {
    key: bot,
    path: [parent, bot],
    nodes: [
      { key: parent, limits: [], rate: {} },
      { key: bot, limits, rate: {} },
    ],
  };
}

/** Writes one epoch as a proxy does. */
export interface Writer {
  readonly reply: OpenReply;
  readonly chain: Chain;
  write(body: ProxyBody): Entry;
  open(): Entry;
  call(paidFrom?: readonly PaidFrom[]): Entry;
}

/** Evidence over a real store and ledger. */
export interface World {
  readonly store: Store;
  readonly deps: OwnDeps;
  writer(): Writer;
  ship(entries: readonly Entry[]): ShipReply;
  /** Grants to the newest epoch from the accounts of `plan`; returns the grant's id. */
  fund(writer: Writer, nano: number, plan?: AccountPlan): string;
  epoch(number: number): EpochRow;
}

export function createWorld(path = ':memory:', rootKey: Buffer = randomBytes(32), clock: () => number = Date.now): World {
  const store = openSqliteStore({ path, clock });
  const deps: OwnDeps = { rootKey, instance: 'op-1', random: randomBytes };
  let requests = 0;
  return {
    store,
    deps,
    writer() {
      const reply = store.transaction((tx) => openEpoch(tx, { key: bot, instance: 'i-1' }, deps));
      const chain = createChain({ stream: reply.stream, epoch: reply.epoch, key: Buffer.from(reply.chainKey, 'hex') });
      const write = (body: ProxyBody): Entry => chain.append(body, randomBytes);
      return {
        reply,
        chain,
        write,
        open: () => write({ bootId: 'boot-1', instance: 'i-1', key: bot, nonce: reply.nonce, time, type: 'epoch_open', v: 1 }),
        call: (paidFrom = []) => write(callBody(paidFrom)),
      };
    },
    ship: (entries) => store.transaction((tx) => ingest(tx, decodeEntries(encodeEntries(entries)) ?? [], deps).reply),
    fund(writer, nano, of = planBelow(team)) {
      const money = { atLeastNano: nano, preferredNano: nano, boundNano: nano, wantNano: nano };
      const count = { atLeastRequests: 0, wantRequests: 0, tokens: 0 } as const;
      requests += 1;
      const { stream, epoch } = writer.reply;
      const request = { stream, epoch, head: writer.chain.head(), askId: `ask-${requests}`, ...money, ...count };
      const reply = store.transaction((tx) => grant(tx, request, of));
      assert.ok('grant' in reply, JSON.stringify(reply));
      return reply.grant.id;
    },
    epoch(number) {
      const row = store.transaction((tx) => tx.streams.epoch(stream, number));
      assert.ok(row);
      return row;
    },
  };
}

export function callBody(paidFrom: readonly PaidFrom[]): CallBody {
  const cost = paidFrom.reduce((sum, { costNanoUsd }) => sum + Number(costNanoUsd), 0);
  return {
    attempts: [],
    code: 'ok',
    costNanoUsd: String(cost),
    dialect: 'openai.chat',
    endpoint: '/v1/chat/completions',
    estimated: false,
    key: bot,
    labels: {},
    latencyMs: 1,
    model: 'fast',
    owner: {},
    paidFrom,
    path: [team],
    policy: 'sha256:00',
    requestId: 'r-1',
    servedModel: 'gpt-5.4-mini',
    status: 200,
    stream: false,
    time,
    tokenId: 'aa' as TokenId,
    type: 'call',
    usage: { cacheWrite: 0, cachedInput: 2, input: 10, output: 5, reasoning: 0 },
    v: 1,
  };
}

export function recoveredBody(more: Partial<EpochRecoveredBody>): EpochRecoveredBody {
  return { charges: [], key: bot, lastSeq: 0, recoveredEpoch: 1, time, type: 'epoch_recovered', v: 1, whole: true, ...more };
}

export function refusalsBody(more: Partial<RefusalsBody> = {}): RefusalsBody {
  const group = { code: 'budget_exhausted', count: 3, endpoint: '/v1/chat/completions', from: time, to: time } as const;
  return { ...group, key: bot, time, type: 'refusals', v: 1, ...more };
}

export function closeBody(): ProxyBody {
  return { key: bot, time, type: 'epoch_close', v: 1 };
}
