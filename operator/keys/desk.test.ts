import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyName } from '../../core/names.ts';
import { estimatedCall } from '../api/api.fixture.ts';
import { type Bench, openBench } from '../broker.fixture.ts';
import { abandon } from '../ledger/ledger.ts';

const dayMs = 86_400_000;
const startMs = Date.UTC(2026, 0, 5);

function withBench(check: (bench: Bench) => void | Promise<void>): () => Promise<void> {
  return async () => {
    const bench = openBench({ clock: () => startMs });
    try {
      await check(bench);
    } finally {
      bench.close();
    }
  };
}

const listed = (bench: Bench, name: string) => bench.broker.desk.list().find((row) => row.name === name);

test(
  'a listing says when a key ends, and by which ancestor where the end is not its own',
  withBench((bench) => {
    const at = (days: number) => new Date(startMs + days * dayMs).toISOString();
    bench.declare({
      'agents/team': { issueToken: false, ttl: '48h' },
      'agents/late': { parentRef: { name: 'team' }, expiresAt: at(3) },
      'agents/early': { parentRef: { name: 'team' }, expiresAt: at(1) },
      'agents/below': { parentRef: { name: 'early' }, ttl: '48h' },
      'agents/free': {},
    });
    const ends = ['team', 'late', 'early', 'below', 'free'].map((name) => {
      const { expiresAt, expiresBy } = listed(bench, name) ?? {};
      return [expiresAt, expiresBy];
    });
    assert.deepEqual(ends, [
      [at(2), undefined],
      [at(2), 'agents/team'],
      [at(1), undefined],
      [at(1), 'agents/early'],
      [undefined, undefined],
    ]);
  }),
);

test(
  'the end of an ancestor counts from the creation of its object, as its enforcement does',
  withBench((bench) => {
    const createdAtMs = new Map([[keyName('agents', 'team'), startMs - dayMs]]);
    const keys = { 'agents/team': { issueToken: false, ttl: '48h' }, 'agents/bot': { parentRef: { name: 'team' } } };
    bench.declare(keys, {}, { createdAtMs });
    const { expiresAt, expiresBy } = listed(bench, 'bot') ?? {};
    assert.deepEqual([expiresAt, expiresBy], [new Date(startMs + dayMs).toISOString(), 'agents/team']);
  }),
);

test(
  'what burned counts in what a window has left, and the least of these is what the key has left',
  withBench(async (bench) => {
    const day = { window: 'Day', usd: '1.00' };
    bench.declare({ 'agents/bot': { limits: [{ window: 'Total', usd: '1.05' }, day] } });
    const { stream, epoch } = await bench.broker.open({ key: keyName('agents', 'bot'), instance: 'lost' });
    const money = { atLeastNano: 1e8, boundNano: 1e8, wantNano: 1e8, atLeastRequests: 0, wantRequests: 0, tokens: 0 } as const;
    await bench.broker.grant({ stream, epoch, head: -1, askId: 'a', ...money });
    bench.store.transaction((tx) => abandon(tx, stream, epoch));
    const row = listed(bench, 'bot');
    assert.deepEqual(
      row?.limits.map(({ window, spentUsd, remainingUsd }) => [window, spentUsd, remainingUsd]),
      [
        ['Total', '0.00', '0.95'],
        ['Day', '0.00', '0.90'],
      ],
    );
    assert.equal(row?.remainingUsd, '0.90');
    bench.declare({ 'agents/bot': { limits: [day, { window: 'Total', usd: '0.05' }] } });
    assert.deepEqual([listed(bench, 'bot')?.remainingUsd, listed(bench, 'bot')?.limits[1]?.remainingUsd], ['0.00', '0.00']);
  }),
);

test(
  'a credit wakes a request that waits for money',
  withBench(async (bench) => {
    bench.declare({ 'agents/bot': { limits: [{ window: 'Total', usd: '1.00' }] } });
    const request = async (instance: string, nano: number) => {
      const { stream, epoch } = await bench.broker.open({ key: keyName('agents', 'bot'), instance });
      const money = { atLeastNano: nano, boundNano: nano, wantNano: nano, atLeastRequests: 0, wantRequests: 0, tokens: 0 } as const;
      return bench.broker.grant({ stream, epoch, head: -1, askId: 'a', ...money });
    };
    await estimatedCall(bench, 'r-1', 5e8);
    assert.ok('grant' in (await request('holder', 4e8)));
    const waiting = request('waiter', 3e8);
    setTimeout(() => bench.broker.desk.credit({ key: keyName('agents', 'bot'), actor: 'admin', reason: 'not billed' }), 50);
    assert.ok('grant' in (await waiting));
  }),
);
