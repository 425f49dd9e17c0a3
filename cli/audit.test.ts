import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmodSync, cpSync, mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, type TestContext, test } from 'node:test';
import { pino } from 'pino';
import { bot, closeBody, createWorld, recoveredBody, refusalsBody, stream } from '../operator/evidence/evidence.fixture.ts';
import { recordOwn } from '../operator/evidence/own-stream.ts';
import { loadRootKey } from '../operator/store/root-key.ts';
import { openSpool } from '../proxy/evidence/spool/spool.ts';
import { runAudit } from './audit.ts';
import { captureStreams } from './streams.fixture.ts';

const home = mkdtempSync(join(tmpdir(), 'keyforge-audit-'));
after(() => rmSync(home, { recursive: true, force: true }));

/** Epoch 1: open, five calls, killed. Epoch 2: recovered, one call, closed. Epoch 3: open; two calls, the second in the spool only. */
before(async () => {
  const world = createWorld(join(home, 'keyforge.db'), loadRootKey(join(home, 'root.key'), randomBytes));
  const first = world.writer();
  world.ship([first.open()]);
  const grant = world.fund(first, 1000);
  world.ship(Array.from({ length: 5 }, (_, i) => first.call([{ costNanoUsd: String(100 + i), grant }])));
  const second = world.writer();
  const charges = [{ requestId: 'r-9', paidFrom: [{ costNanoUsd: '40', grant }] }];
  world.ship([second.write(recoveredBody({ lastSeq: 5, charges })), second.call(), second.write(closeBody())]);
  const third = world.writer();
  world.ship([third.open(), third.call()]);
  world.store.transaction((tx) =>
    recordOwn(tx, { type: 'key_created', time: '2026-11-20T10:00:00Z', object: bot, detail: {} }, world.deps),
  );
  world.store.close();
  const spool = openSpool({ dir: join(home, 'spool'), bootId: 'boot-1', logger: pino({ level: 'silent' }) });
  spool.writeEntry({ entry: third.call(), endsCall: '', endsEpoch: false });
  await spool.close();
});

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function audit(...args: string[]): Promise<Outcome> {
  const io = captureStreams();
  return { code: await runAudit(args, io), ...io.printed };
}

/** A copy of the data folder, changed by SQL behind KeyForge's back. */
function altered(t: TestContext, ...sql: string[]): string {
  const dir = mkdtempSync(join(tmpdir(), 'keyforge-audit-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  cpSync(home, dir, { recursive: true });
  const db = new DatabaseSync(join(dir, 'keyforge.db'), { enableForeignKeyConstraints: false });
  for (const statement of sql) db.exec(statement);
  db.close();
  return dir;
}

const at = (epoch: number, seq: number): string => `stream = '${stream}' AND epoch = ${epoch} AND seq = ${seq}`;

test('an untouched store is intact, and what the spool holds is verified too', async () => {
  assert.deepEqual(await audit('verify', '--data', home), { code: 0, out: 'intact: 13 entries in 4 epochs verified\n', err: '' });
});

test('every row that was edited, removed, swapped or cut off is found and named', async (t) => {
  const swapTo = (from: number, to: number): string => `UPDATE entries SET seq = ${to} WHERE ${at(1, from)}`;
  const cases: readonly (readonly [string, readonly string[], RegExp])[] = [
    [
      'a cost',
      [`UPDATE entries SET body = CAST(replace(body, '"102"', '"002"') AS BLOB) WHERE ${at(1, 3)}`],
      /i-1 epoch 1 seq 3: its salt or body/,
    ],
    ['a salt', [`UPDATE entries SET salt = zeroblob(16) WHERE ${at(2, 0)}`], /epoch 2 seq 0: its salt or body/],
    ['a MAC', [`UPDATE entries SET mac = zeroblob(32) WHERE ${at(1, 2)}`], /epoch 1 seq 2: its MAC was replaced/],
    [
      'a link',
      [`UPDATE entries SET previous_mac = zeroblob(32) WHERE ${at(1, 2)}`],
      /epoch 1 seq 2: its copy of the previous entry’s MAC was replaced/,
    ],
    ['a removal', [`DELETE FROM entries WHERE ${at(1, 2)}`], /epoch 1 seq 2: removed/],
    [
      'a truncation',
      [`DELETE FROM entries WHERE stream = '${stream}' AND epoch = 1 AND seq > 3`],
      /epoch 1 seq 4 to 5: removed from the end/,
    ],
    [
      'a truncation with its head set back',
      [
        `DELETE FROM entries WHERE stream = '${stream}' AND epoch = 1 AND seq > 3`,
        `UPDATE epochs SET last_seq = 3, last_mac = (SELECT lower(hex(mac)) FROM entries WHERE ${at(1, 3)}) WHERE stream = '${stream}' AND epoch = 1`,
      ],
      /epoch 1: its recorded head was altered.*\n.*epoch 1: truncated at seq 3, its proxy recovered it up to seq 5/,
    ],
    ['a swap', [swapTo(2, 99), swapTo(4, 2), swapTo(99, 4)], /seq 2 to 4: seq 2 and seq 4 have changed places/],
    [
      'a removed epoch',
      [`DELETE FROM entries WHERE epoch = 1 AND stream = '${stream}'`, `DELETE FROM epochs WHERE epoch = 1 AND stream = '${stream}'`],
      /epoch 1: the whole epoch was removed/,
    ],
    ['a stranger', [`UPDATE entries SET epoch = 9, seq = 0 WHERE ${at(2, 2)}`], /epoch 9 seq 0: belongs to an epoch that was never opened/],
    [
      'another filing',
      [`UPDATE entries SET key = 'agents/bat' WHERE ${at(1, 2)}`],
      /seq 2: is filed as call of agents\/bat and says call of agents\/bot/,
    ],
    [
      'an account',
      ["UPDATE accounts SET state = replace(state, '550', '540')"],
      /account of agents\/bot: \$0\.00000054 settled, and its entries come to \$0\.00000055/,
    ],
    [
      'another window of an account',
      ["UPDATE accounts SET state = replace(state, '550', '540') WHERE window = 'Day'"],
      /account of agents\/bot Day from \S+Z: \$0\.00000054 settled, and its entries come to \$0\.00000055/,
    ],
    [
      'an account without entries',
      [
        `INSERT INTO accounts SELECT 'agents/ghost|Total|1970-01-01T00:00:00.000Z', 'agents/ghost', window, start_ms, state FROM accounts
          WHERE key = '${bot}' AND window = 'Total'`,
      ],
      /account of agents\/ghost: \$0\.00000055 settled, and its entries come to \$0\.00; the store holds no stream of this key/,
    ],
    [
      'a removed stream',
      [`DELETE FROM entries WHERE stream = '${stream}'`, `DELETE FROM epochs WHERE stream = '${stream}'`],
      /^broken: account of agents\/bot: \$0\.00000055 settled, and its entries come to \$0\.00; the store holds no stream of this key$/m,
    ],
    [
      "the operator's own record",
      ["DELETE FROM entries WHERE stream = 'operator@op-1'"],
      /operator@op-1 epoch 1 seq 0: removed from the end/,
    ],
  ];
  for (const [what, sql, message] of cases) {
    const { code, out } = await audit('verify', '--data', altered(t, ...sql));
    assert.equal(code, 1, `${what}: ${out}`);
    assert.match(out, message, what);
  }
});

test('of windows whose grants were pruned only the lifetime sum is compared', async (t) => {
  const old = "id = 'agents/bot|Day|2020-01-01T00:00:00.000Z', start_ms = 1577836800000";
  const pruned = ['DELETE FROM grants WHERE open = 0', `UPDATE accounts SET ${old} WHERE window = 'Day'`];
  const { code, out } = await audit('verify', '--data', altered(t, ...pruned));
  assert.equal(code, 0, out);
  const lowered = await audit('verify', '--data', altered(t, ...pruned, "UPDATE accounts SET state = replace(state, '550', '540')"));
  assert.match(lowered.out, /account of agents\/bot: \$0\.00000054 settled/);
});

test('an altered spool entry is found too', async (t) => {
  const dir = altered(t, `UPDATE epochs SET nonce = '00' WHERE stream = '${stream}' AND epoch = 3`);
  const { code, out } = await audit('verify', '--data', dir);
  assert.equal(code, 1);
  assert.match(out, /epoch 3 seq 2: its salt or body/);
});

test('what cannot be checked is said, with another code than what is broken', async (t) => {
  assert.equal((await audit('verify', '--data', join(home, 'nowhere'))).code, 3);
  const open = altered(t);
  chmodSync(join(open, 'root.key'), 0o644);
  assert.match((await audit('verify', '--data', open)).err, /chmod 600/);
  const lost = altered(t);
  unlinkSync(join(lost, 'root.key'));
  assert.equal((await audit('verify', '--data', lost)).code, 3);
  const broken = altered(t);
  writeFileSync(join(broken, 'keyforge.db'), 'not a database, though long enough to be taken for one '.repeat(20));
  assert.equal((await audit('verify', '--data', broken)).code, 3);
});

test('wrong usage is said with the usage', async () => {
  for (const args of [
    [],
    ['verify'],
    ['verify', '--data'],
    ['look', '--data', home],
    ['verify', '--data', home, '--json'],
    ['verify', home],
  ]) {
    const { code, err } = await audit(...args);
    assert.equal(code, 2, args.join(' '));
    assert.match(err, /usage: keyforge audit verify/);
  }
});

test('help is no mistake', async () => {
  const { code, out } = await audit('verify', '--help');
  assert.equal(code, 0);
  assert.match(out, /^usage: keyforge audit verify/);
});

test('tail shows the entry bodies in order, what is only spooled included', async () => {
  const { code, out } = await audit('tail', '--data', home, '--key', bot, '--json');
  assert.equal(code, 0);
  const types = out
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { type: string }).type);
  assert.deepEqual(types, ['epoch_open', ...Array(5).fill('call'), 'epoch_recovered', 'call', 'epoch_close', 'epoch_open', 'call', 'call']);
});

test('tail for people has one line a call: time, key, code, model, tokens, dollars', async () => {
  const { out } = await audit('tail', '--data', home);
  const lines = out.trimEnd().split('\n');
  assert.equal(lines.length, 13);
  assert.equal(lines[1], '2026-11-20T10:00:00.000Z agents/bot ok gpt-5.4-mini 12+5 tokens $0.0000001');
  assert.ok(lines.includes('2026-11-20T10:00:00Z agents/bot key_created'));
  assert.equal((await audit('tail', '--data', home, '--key', 'agents/nobody')).out, '');
});

test('counted refusals are lines of their own, and an edited count is found', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'keyforge-audit-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const world = createWorld(join(dir, 'keyforge.db'), loadRootKey(join(dir, 'root.key'), randomBytes));
  const first = world.writer();
  world.ship([first.open(), first.write(refusalsBody({ count: 3_999, model: 'gpt-5.4-mini' }))]);
  const { v: _v, type: _type, time: _time, key: _key, ...group } = refusalsBody({ count: 7, code: 'rate_limited' });
  world.ship([world.writer().write(recoveredBody({ lastSeq: 1, refusals: [group, { ...group, endpoint: 'other' }] }))]);
  world.store.close();
  const at = '2026-11-20T10:00:00.000Z';
  const { out } = await audit('tail', '--data', dir);
  assert.deepEqual(out.trimEnd().split('\n').slice(1), [
    `${at} agents/bot refusals 3999 budget_exhausted gpt-5.4-mini /v1/chat/completions ${at} to ${at}`,
    `${at} agents/bot epoch_recovered`,
    `${at} agents/bot epoch_recovered 7 rate_limited - /v1/chat/completions ${at} to ${at}`,
    `${at} agents/bot epoch_recovered 7 rate_limited - other ${at} to ${at}`,
  ]);
  assert.match((await audit('verify', '--data', dir)).out, /^intact: 3 entries in 2 epochs verified$/m);
  for (const [from, to, message] of [
    ['3999', '3998', /epoch 1 seq 1: its salt or body/],
    ['7', '6', /epoch 2 seq 0: its salt or body/],
  ] as const) {
    const db = new DatabaseSync(join(dir, 'keyforge.db'));
    const edit = db.prepare(`UPDATE entries SET body = CAST(replace(CAST(body AS TEXT), '"count":' || ?, '"count":' || ?) AS BLOB)`);
    edit.run(from, to);
    const verified = await audit('verify', '--data', dir);
    assert.equal(verified.code, 1);
    assert.match(verified.out, message);
    edit.run(to, from);
    db.close();
  }
  assert.equal((await audit('verify', '--data', dir)).code, 0);
});
