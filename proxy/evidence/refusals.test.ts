import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { CallBody, EpochRecoveredBody, RefusalGroup, RefusalsBody } from '../../core/audit/types.ts';
import { Verifier } from '../../core/audit/verify.ts';
import type { TokenId } from '../../core/names.ts';
import { assertVerifies, bodies, call, createWorld, fill, restart, root, types, type World } from './recorder.fixture.ts';
import type { RefusedCall } from './refusal-groups.ts';
import { bot, folder, open, owed, reservation } from './spool/spool.fixture.ts';
import { SpoolUnavailable } from './spool/spool.ts';

const refused: RefusedCall & Pick<CallBody, 'tokenId'> = {
  code: 'budget_exhausted',
  endpoint: '/v1/chat/completions',
  model: 'gpt',
  tokenId: 'aa' as TokenId,
};

/** Refuses calls, of which those that are not counted get their entry. */
function refuse({ recorder }: World, times: number, more: Partial<typeof refused> = {}): void {
  for (let i = 0; i < times; i += 1) {
    const each = { ...refused, ...more };
    if (!recorder.countRefusal(`r-${i}`, each)) recorder.append({ ...call(`r-${i}`, 0), ...each });
  }
}

function sealed(world: World): readonly RefusalsBody[] {
  return bodies(world).filter((body) => body.type === 'refusals');
}

function totalOf(groups: readonly RefusalGroup[]): number {
  return groups.reduce((sum, { count }) => sum + count, 0);
}

/** A world whose timers the test moves. */
function createTimedWorld(t: TestContext): World {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => t.mock.timers.reset());
  return createWorld(t);
}

function pass(t: TestContext, { clock }: World, ms: number): void {
  clock.ms += ms;
  t.mock.timers.tick(ms);
}

test('further refusals of a minute become one entry at its end, and the next minute begins with an entry', async (t) => {
  const world = createTimedWorld(t);
  await world.recorder.ready();
  refuse(world, 100);
  pass(t, world, 30_000);
  refuse(world, 100);
  assert.deepEqual(types(world), ['epoch_open', 'call']);
  pass(t, world, 30_000);
  const time = '2026-11-20T00:01:00.000Z';
  assert.deepEqual(bodies(world).at(-1), {
    ...{ ...refused, count: 199, from: '2026-11-20T00:00:00.000Z', to: '2026-11-20T00:00:30.000Z' },
    ...{ key: bot, time, type: 'refusals', v: 1 },
  });
  pass(t, world, 120_000);
  refuse(world, 2);
  assert.deepEqual(types(world), ['epoch_open', 'call', 'refusals', 'call']);
  assertVerifies(world);
});

test('a refusal after the end of a minute first ends the groups of that minute', async (t) => {
  const world = createTimedWorld(t);
  await world.recorder.ready();
  refuse(world, 3);
  world.clock.ms += 60_000;
  refuse(world, 1);
  assert.deepEqual(types(world), ['epoch_open', 'call', 'refusals', 'call']);
});

test('the end of an epoch writes the groups before it', async (t) => {
  const world = createTimedWorld(t);
  await world.recorder.ready();
  refuse(world, 5);
  refuse(world, 5, { code: 'rate_limited' });
  world.recorder.close();
  assert.deepEqual(types(world), ['epoch_open', 'call', 'call', 'refusals', 'refusals', 'epoch_close']);
  assert.deepEqual(
    sealed(world).map(({ code, count }) => [code, count]),
    [
      ['budget_exhausted', 4],
      ['rate_limited', 4],
    ],
  );
  assertVerifies(world);
  const next = restart(t, world);
  assert.deepEqual(next.spool.recovered, []);
});

test('a call with an open record is never counted', async (t) => {
  const world = createTimedWorld(t);
  const { recorder } = world;
  await recorder.ready();
  refuse(world, 2);
  recorder.openCall('sent', reservation(5));
  assert.equal(recorder.countRefusal('sent', refused), false);
  recorder.append(call('sent', 0));
  assert.equal(recorder.countRefusal('sent', refused), true);
});

test('nothing is counted before an epoch is open or after it has ended', async (t) => {
  const { recorder } = createTimedWorld(t);
  assert.equal(recorder.countRefusal('r', refused), false);
  await recorder.ready();
  recorder.countRefusal('r', refused);
  recorder.close();
  assert.equal(recorder.countRefusal('r', refused), false);
});

test('an operator that does not know counted refusals gets an entry for each', async (t) => {
  const world = createTimedWorld(t);
  world.operator.old = true;
  await world.recorder.ready();
  refuse(world, 3);
  assert.deepEqual(types(world), ['epoch_open', 'call', 'call', 'call']);
});

test('a full spool loses no count: groups wait for it, and no group of another minute begins', async (t) => {
  const world = createTimedWorld(t);
  await world.recorder.ready();
  refuse(world, 10);
  const empty = fill(world.spool);
  pass(t, world, 2_000);
  refuse(world, 10);
  pass(t, world, 60_000);
  assert.throws(() => refuse(world, 1), SpoolUnavailable);
  assert.throws(() => refuse(world, 1, { code: 'rate_limited' }), SpoolUnavailable);
  empty();
  pass(t, world, 1_000);
  assert.deepEqual(
    sealed(world).map(({ count, to }) => [count, to]),
    [[19, '2026-11-20T00:00:02.000Z']],
  );
  refuse(world, 1);
  assert.equal(types(world).at(-1), 'call');
  assertVerifies(world);
});

test('a first refusal that the spool cannot take is the first again', async (t) => {
  const world = createTimedWorld(t);
  await world.recorder.ready();
  const empty = fill(world.spool);
  assert.throws(() => refuse(world, 1), SpoolUnavailable);
  empty();
  refuse(world, 2);
  world.recorder.close();
  assert.deepEqual(types(world), ['epoch_open', 'call', 'refusals', 'epoch_close']);
});

/** What the next process says of the refusals that this one leaves if it is killed now. */
async function recovered(t: TestContext, world: World): Promise<readonly RefusalGroup[] | undefined> {
  const next = restart(t, world);
  await next.recorder.ready();
  assertVerifies(next);
  const first = bodies(next).findLast(({ type }) => type === 'epoch_recovered') as EpochRecoveredBody;
  const third = restart(t, next);
  assert.deepEqual(third.spool.recovered[0]?.refusals, [], 'counted once');
  return first.refusals;
}

test('after a crash the new epoch begins with the counts that were a second old, once', async (t) => {
  const world = createTimedWorld(t);
  await world.recorder.ready();
  refuse(world, 3);
  assert.equal(await recovered(t, world), undefined, 'not a second old');
  pass(t, world, 1_000);
  refuse(world, 4);
  refuse(world, 2, { code: 'rate_limited' });
  pass(t, world, 1_000);
  const at = { from: '2026-11-20T00:00:00.000Z', to: '2026-11-20T00:00:01.000Z' };
  assert.deepEqual(await recovered(t, world), [
    { ...refused, ...at, count: 6 },
    { ...refused, code: 'rate_limited', count: 1, from: at.to, to: at.to },
  ]);
  pass(t, world, 60_000);
  assert.equal(await recovered(t, world), undefined, 'they have an entry');
});

test('a crash at any byte counts what the last whole record says', async (t) => {
  const world = createTimedWorld(t);
  await world.recorder.ready();
  refuse(world, 2);
  pass(t, world, 1_000);
  refuse(world, 3);
  pass(t, world, 1_000);
  pass(t, world, 60_000);
  refuse(world, 1);
  const name = readdirSync(world.dir).find((each) => each.endsWith('.seg')) ?? '';
  const bytes = readFileSync(join(world.dir, name));
  const dir = folder(t);
  const states: string[] = [];
  for (let length = 1; length <= bytes.length; length += 1) {
    writeFileSync(join(dir, name), bytes.subarray(0, length));
    const spool = open(dir);
    const entries = owed(spool).map(({ body }) => (JSON.parse(body.toString()) as { readonly type: string }).type);
    const state = [...entries, totalOf(spool.recovered[0]?.refusals ?? [])].join(' ');
    await spool.close();
    if (state !== states.at(-1)) states.push(state);
  }
  assert.deepEqual(states, [
    '0',
    'epoch_open 0',
    'epoch_open call 0',
    'epoch_open call 1',
    'epoch_open call 4',
    'epoch_open call refusals 0',
    'epoch_open call refusals call 0',
  ]);
});

test('segments keep the counts that have no entry, and go once their entry is acknowledged', async (t) => {
  const dir = folder(t);
  const spool = open(dir, { segmentBytes: 1_024 });
  const group = { ...refused, count: 1, from: '2026-11-20T00:00:00.000Z', to: '2026-11-20T00:00:00.000Z' };
  const stream = createWorld(t).recorder.stream;
  for (let count = 1; count <= 40; count += 1) spool.writeRefusals({ stream, epoch: 1, id: 'a', group: { ...group, count } });
  spool.acknowledge(stream, 1, 0);
  await spool.close();
  assert.equal(readdirSync(dir).filter((name) => name.endsWith('.seg')).length, 1, 'the newest record replaces the others');
  const again = open(dir);
  assert.deepEqual(again.recovered[0]?.refusals, [{ ...group, count: 40 }]);
  await again.close();
});

test('4,000 refusals take a bounded number of entries and bytes', async (t) => {
  const world = createTimedWorld(t);
  await world.recorder.ready();
  refuse(world, 4_000);
  world.recorder.close();
  assert.deepEqual(types(world), ['epoch_open', 'call', 'refusals', 'epoch_close']);
  const size = readdirSync(world.dir).reduce((sum, name) => sum + readFileSync(join(world.dir, name)).length, 0);
  assert.ok(size < 8_000, `${size} bytes`);
});

test('an edited count is found, in a group and in a recovery', async (t) => {
  const world = createTimedWorld(t);
  await world.recorder.ready();
  refuse(world, 8);
  pass(t, world, 60_000);
  refuse(world, 8);
  pass(t, world, 1_000);
  const next = restart(t, world);
  await next.recorder.ready();
  const entries = owed(next.spool);
  const edited = entries.filter(({ body }) => body.includes('"count":7'));
  assert.deepEqual(
    edited.map(({ body }) => (JSON.parse(body.toString()) as { readonly type: string }).type),
    ['refusals', 'epoch_recovered'],
  );
  for (const forged of edited) {
    const verifier = new Verifier(root, ({ epoch }) => world.operator.nonces[epoch - 1] ?? null);
    for (const entry of entries) {
      const body = Buffer.from(entry.body.toString().replace('"count":7', '"count":6'));
      verifier.add(entry === forged ? { ...entry, body } : entry);
    }
    assert.equal(verifier.findings().length, 1);
  }
});
