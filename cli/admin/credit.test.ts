import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { pino } from 'pino';
import { estimatedCall, taughtBounds, waitingPrices } from '../../operator/api/api.fixture.ts';
import { createAdminApi } from '../../operator/api/app.ts';
import { listenAdmin } from '../../operator/api/server.ts';
import { type Bench, openBench } from '../../operator/broker.fixture.ts';
import { runAudit } from '../audit.ts';
import { captureStreams } from '../streams.fixture.ts';
import { runKeys } from './keys.ts';

interface Place {
  readonly bench: Bench;
  credit(...args: readonly string[]): Promise<Outcome>;
  verify(): Promise<Outcome>;
  /** Changes the store directly, without KeyForge. */
  alter(sql: string): void;
}

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A KeyForge with an admin port over a data folder, and a key with a day's limit. */
function openPlace(t: TestContext): Place {
  const bench = openBench();
  t.after(() => bench.close());
  bench.declare({ 'agents/bot': { limits: [{ window: 'Day', usd: '1.00' }] } });
  writeFileSync(join(bench.folder, 'admin.token'), 'the-admin-token');
  writeFileSync(join(bench.folder, 'root.key'), Buffer.alloc(32, 7), { mode: 0o600 });
  return {
    bench,
    async credit(...args) {
      const api = createAdminApi({
        desk: bench.broker.desk,
        prices: waitingPrices(),
        bounds: taughtBounds(),
        token: 'the-admin-token',
        logger: pino({ level: 'silent' }),
      });
      const server = await listenAdmin(api, { host: '127.0.0.1', port: 0 });
      const io = captureStreams();
      const code = await runKeys(['credit', ...args, '--data', bench.folder, '--admin', server.url], io);
      await server.close();
      return { code, ...io.printed };
    },
    async verify() {
      const io = captureStreams();
      return { code: await runAudit(['verify', '--data', bench.folder], io), ...io.printed };
    },
    alter(sql) {
      const db = new DatabaseSync(join(bench.folder, 'keyforge.db'));
      db.exec(sql);
      db.close();
    },
  };
}

test('credit lists by window what was charged without a measurement, and gives it back once, also over a restart', async (t) => {
  const place = openPlace(t);
  const { bench } = place;
  await estimatedCall(bench, 'r-1', 3e8);
  await estimatedCall(bench, 'r-2', 2e8);
  const listed = await place.credit('agents/bot', '--dry-run');
  assert.equal(listed.code, 0, listed.err);
  assert.match(listed.out, /^Total, Day from \d{4}-\d\d-\d\dT00:00:00\.000Z\nTIME +CHARGE +ID +CHARGED +GIVEN BACK\n/);
  assert.match(
    listed.out,
    /Z +call, estimated +r-1 +\$0\.30 +\$0\.00\n.*r-2 +\$0\.20 +\$0\.00\n\n\$0\.50 can be given back to agents\/bot now\n$/,
  );
  const part = await place.credit('agents/bot', '--usd', '0.40', '--reason', 'not billed');
  assert.match(
    part.out,
    /r-1 +\$0\.30 +\$0\.30\n.*r-2 +\$0\.20 +\$0\.10\n\n\$0\.40 given back to agents\/bot; \$0\.10 more can be given back now\n$/,
  );
  bench.restart();
  bench.declare({ 'agents/bot': { limits: [{ window: 'Day', usd: '1.00' }] } });
  const much = await place.credit('agents/bot', '--usd', '0.11', '--reason', 'not billed');
  assert.deepEqual([much.code, much.out, much.err], [1, '', 'keyforge keys: $0.10 can be credited to agents/bot now, not $0.11\n']);
  const rest = await place.credit('agents/bot', '--reason', 'not billed', '--json');
  const reply = JSON.parse(rest.out) as { readonly creditedUsd: string; readonly leftUsd: string; readonly calls: readonly object[] };
  assert.deepEqual([reply.creditedUsd, reply.leftUsd, reply.calls.length], ['0.10', '0.00', 2]);
  const again = await place.credit('agents/bot', '--reason', 'not billed');
  assert.deepEqual([again.code, again.out], [1, '']);
  assert.match(again.err, /^keyforge keys: nothing can be credited to agents\/bot now/);
  assert.equal(bench.broker.desk.list()[0]?.remainingUsd, '1.00');
  assert.match((await place.verify()).out, /^intact: /);
});

test('what burned waits for its proxy, and the list says so', async (t) => {
  const place = openPlace(t);
  const { broker } = place.bench;
  await estimatedCall(place.bench, 'r-1', 3e8);
  const money = {
    atLeastNano: 1e8,
    preferredNano: 1e8,
    boundNano: 1e8,
    wantNano: 1e8,
    atLeastRequests: 0,
    wantRequests: 0,
    tokens: 0,
  } as const;
  await broker.grant({ stream: 'agents/bot@r-1' as never, epoch: 1, head: 1, askId: 'b', ...money });
  broker.retire('r-1');
  const { out } = await place.credit('agents/bot', '--dry-run');
  assert.match(out, /grant, burned +\S+ +\$0\.10 +\$0\.00 {2}not yet: its proxy has been gone for less than two hours\n/);
  assert.match(out, /\$0\.30 can be given back to agents\/bot now\n$/);
});

test('a credit that was altered, removed or invented in the store breaks the audit', async (t) => {
  for (const [sql, message] of [
    [
      `UPDATE entries SET body = CAST(replace(body, '"300000000"', '"200000000"') AS BLOB) WHERE type = 'credited'`,
      /its salt or body was changed/,
    ],
    [`DELETE FROM entries WHERE type = 'credited'`, /removed/],
    [
      `UPDATE accounts SET state = replace(state, '"s":[0', '"s":[300000000') WHERE window = 'Total'`,
      /account of agents\/bot: \$0\.30 settled/,
    ],
  ] as const) {
    const place = openPlace(t);
    await estimatedCall(place.bench, 'r-1', 3e8);
    assert.equal((await place.credit('agents/bot', '--reason', 'not billed')).code, 0);
    assert.equal((await place.verify()).code, 0);
    place.alter(sql);
    const { code, out } = await place.verify();
    assert.equal(code, 1, sql);
    assert.match(out, message);
  }
});

test('an order that cannot be read is refused with what to change', async (t) => {
  const place = openPlace(t);
  for (const [args, code, message] of [
    [['agents/bot'], 2, /--reason is missing/],
    [['agents/bot', '--usd', 'five', '--reason', 'x'], 1, /usd must be an amount above 0/],
    [['agents/nobody', '--reason', 'x'], 1, /no key agents\/nobody/],
    [['agents/bot', '--reason', 'x'], 1, /nothing can be credited to agents\/bot now/],
  ] as const) {
    const outcome = await place.credit(...args);
    assert.deepEqual([outcome.code, outcome.out], [code, ''], args.join(' '));
    assert.match(outcome.err, message);
  }
});
