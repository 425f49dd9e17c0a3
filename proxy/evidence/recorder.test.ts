import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { EpochRecoveredBody } from '../../core/audit/types.ts';
import { ControlUnavailable } from '../../core/protocol/control.ts';
import { assertVerifies, bodies, call, createWorld, fill, restart, types, type World } from './recorder.fixture.ts';
import { bot, reservation, stream } from './spool/spool.fixture.ts';
import { SpoolUnavailable } from './spool/spool.ts';

test('an epoch is opened once, on first use, and begins with epoch_open', async (t) => {
  const world = createWorld(t);
  const { recorder } = world;
  assert.equal(recorder.stream, stream);
  assert.deepEqual([recorder.epoch, recorder.head()], [0, -1]);
  assert.throws(() => recorder.append(call('r-1')), SpoolUnavailable);
  await Promise.all([recorder.ready(), recorder.ready()]);
  await recorder.ready();
  assert.deepEqual([recorder.epoch, recorder.head()], [1, 0]);
  assert.deepEqual(bodies(world), [
    {
      bootId: 'boot-1',
      instance: 'i-1',
      key: bot,
      nonce: world.operator.nonces[0],
      time: '2026-11-20T00:00:00.000Z',
      type: 'epoch_open',
      v: 1,
    },
  ]);
});

test('an epoch that could not be opened is requested again at the next use', async (t) => {
  const { operator, recorder } = createWorld(t);
  operator.down = true;
  await assert.rejects(recorder.ready(), ControlUnavailable);
  operator.down = false;
  await recorder.ready();
  assert.equal(recorder.epoch, 1);
});

test('calls, releases and the end of the epoch make one chain that verifies', async (t) => {
  const world = createWorld(t);
  const { recorder } = world;
  await recorder.ready();
  recorder.openCall('r-1', reservation(5));
  assert.deepEqual(recorder.append(call('r-1')), { seq: 1 });
  recorder.release(['g-1']);
  recorder.close();
  recorder.close();
  assert.deepEqual(types(world), ['epoch_open', 'call', 'release', 'epoch_close']);
  assert.throws(() => recorder.append(call('r-2')), SpoolUnavailable);
  assertVerifies(world);
  assert.deepEqual(restart(t, world).spool.recovered, []);
});

test('a heartbeat is written after a minute without an entry', async (t) => {
  const world = createWorld(t);
  const { recorder, clock } = world;
  recorder.heartbeat();
  await recorder.ready();
  clock.ms += 59_999;
  recorder.heartbeat();
  clock.ms += 1;
  recorder.heartbeat();
  recorder.heartbeat();
  clock.ms += 30_000;
  recorder.append(call('r-1', 0));
  clock.ms += 59_000;
  recorder.heartbeat();
  assert.deepEqual(types(world), ['epoch_open', 'heartbeat', 'call']);
});

test('after a crash the new epoch begins with what the open calls cost at most', async (t) => {
  const world = createWorld(t);
  await world.recorder.ready();
  world.recorder.openCall('done', reservation(5));
  world.recorder.append(call('done'));
  world.recorder.openCall('open', reservation(5));
  world.recorder.openCall('open', { parts: [{ grant: 'g-2', nano: 9 }], amountNano: 9 });
  world.recorder.openCall('counted', { parts: [], counted: { grant: 'g-3', requests: 1, tokens: 0 }, amountNano: 0 });
  const next = restart(t, world);
  await next.recorder.ready();
  const first = bodies(next)[2] as EpochRecoveredBody;
  assert.deepEqual(first, {
    charges: [
      {
        paidFrom: [
          { costNanoUsd: '5', grant: 'g-1', requests: 1, tokens: 7 },
          { costNanoUsd: '9', grant: 'g-2' },
        ],
        requestId: 'open',
      },
      { paidFrom: [{ costNanoUsd: '0', grant: 'g-3', requests: 1 }], requestId: 'counted' },
    ],
    key: bot,
    lastSeq: 1,
    recoveredEpoch: 1,
    time: '2026-11-20T00:00:00.000Z',
    type: 'epoch_recovered',
    v: 1,
    whole: true,
  });
  assertVerifies(next);

  const third = restart(t, next);
  assert.deepEqual(
    third.spool.recovered.map(({ epoch, openCalls }) => [epoch, openCalls]),
    [[2, []]],
    'charged once',
  );
});

/** The charges of the next process, if this one is killed now. */
async function chargesAfterCrash(t: TestContext, world: World): Promise<EpochRecoveredBody['charges']> {
  const next = restart(t, world);
  await next.recorder.ready();
  assertVerifies(next);
  return (bodies(next).findLast(({ type }) => type === 'epoch_recovered') as EpochRecoveredBody).charges;
}

test('a crash while another credential is tried charges the attempt that is open, once', async (t) => {
  const world = createWorld(t);
  const { recorder } = world;
  await recorder.ready();
  const held = reservation(5);
  const atBound = { paidFrom: [{ costNanoUsd: '5', grant: 'g-1', requests: 1, tokens: 7 }], requestId: 'r-1' };
  const free = { measured: true, paidFrom: [{ costNanoUsd: '0', grant: 'g-1', requests: 1 }], requestId: 'r-1' };
  recorder.openCall('r-1', held);
  assert.deepEqual(await chargesAfterCrash(t, world), [atBound]);
  recorder.noteOutcome('r-1', 0);
  assert.deepEqual(await chargesAfterCrash(t, world), [free]);
  recorder.openCall('r-1', held);
  assert.deepEqual(await chargesAfterCrash(t, world), [atBound]);
  recorder.noteOutcome('r-1', 0);
  recorder.openCall('r-1', held);
  recorder.noteOutcome('r-1', 3);
  assert.deepEqual(await chargesAfterCrash(t, world), [
    { measured: true, paidFrom: [{ costNanoUsd: '3', grant: 'g-1', requests: 1, tokens: 7 }], requestId: 'r-1' },
  ]);
  recorder.append(call('r-1'));
  recorder.noteOutcome('r-1', 4);
  assert.deepEqual(await chargesAfterCrash(t, world), []);
});

test('after a crash each reservation of a call is charged at its own cost, and what exceeds it goes to its last grant', async (t) => {
  const world = createWorld(t);
  const { recorder } = world;
  await recorder.ready();
  const parts = [
    { grant: 'g-2', nano: 4 },
    { grant: 'g-3', nano: 6 },
  ];
  recorder.openCall('r-1', reservation(5));
  recorder.openCall('r-1', { parts, counted: { grant: 'g-4', requests: 1, tokens: 0 }, amountNano: 10 });
  recorder.noteOutcome('r-1', 12);
  recorder.openCall('r-2', { parts, amountNano: 10 });
  recorder.noteOutcome('r-2', 3);
  assert.deepEqual(await chargesAfterCrash(t, world), [
    { paidFrom: [{ costNanoUsd: '5', grant: 'g-1', requests: 1, tokens: 7 }], requestId: 'r-1' },
    {
      measured: true,
      paidFrom: [
        { costNanoUsd: '0', grant: 'g-4', requests: 1 },
        { costNanoUsd: '4', grant: 'g-2' },
        { costNanoUsd: '8', grant: 'g-3' },
      ],
      requestId: 'r-1',
    },
    { measured: true, paidFrom: [{ costNanoUsd: '3', grant: 'g-2' }], requestId: 'r-2' },
  ]);
});

test('an outcome that the spool cannot take leaves the bound, charged once also where the reservation is used again', async (t) => {
  const world = createWorld(t);
  const { recorder, spool } = world;
  await recorder.ready();
  const held = reservation(5);
  recorder.openCall('r-1', held);
  const empty = fill(spool);
  recorder.noteOutcome('r-1', 0);
  empty();
  recorder.openCall('r-1', held);
  const [charge, ...more] = await chargesAfterCrash(t, world);
  assert.deepEqual([charge?.paidFrom[0]?.costNanoUsd, more], ['5', []]);
});

test('a process that dies before its first entry leaves the recovery to the next', async (t) => {
  const world = createWorld(t);
  await world.recorder.ready();
  world.recorder.openCall('open', reservation(5));
  const second = restart(t, world);
  await second.operator.open({ key: bot, instance: 'i-1' });
  const third = restart(t, second);
  await third.recorder.ready();
  const first = bodies(third)[1] as EpochRecoveredBody;
  assert.deepEqual([first.type, first.recoveredEpoch, first.charges.length], ['epoch_recovered', 1, 1]);
  assert.equal(third.recorder.epoch, 3);
});

test('a full spool refuses calls; the entry of a call in flight is kept and written first, once', async (t) => {
  const world = createWorld(t);
  const { recorder, spool } = world;
  await recorder.ready();
  recorder.openCall('r-1', reservation(5));
  const empty = fill(spool);
  assert.throws(() => recorder.append(call('r-1')), SpoolUnavailable);
  assert.throws(() => recorder.append(call('refused', 0)), SpoolUnavailable);
  assert.throws(() => recorder.openCall('r-2', reservation(5)), SpoolUnavailable);
  assert.equal(recorder.head(), 0);
  empty();
  recorder.openCall('r-3', reservation(5));
  recorder.append(call('r-3'));
  assert.deepEqual(
    bodies(world).map((body) => (body.type === 'call' ? body.requestId : body.type)),
    ['epoch_open', 'r-1', 'r-3'],
  );
  assertVerifies(world);
  assert.deepEqual(restart(t, world).spool.recovered[0]?.openCalls, []);
});

test('a body that no entry can carry does not stop the key: its call stays open, and recovery charges it', async (t) => {
  const world = createWorld(t);
  const { recorder } = world;
  await recorder.ready();
  recorder.openCall('r-1', reservation(5));
  assert.throws(() => recorder.append({ ...call('r-1'), servedModel: '\ud800' }), TypeError);
  recorder.openCall('r-2', reservation(5));
  recorder.append(call('r-2'));
  assert.deepEqual(
    bodies(world).map((body) => (body.type === 'call' ? body.requestId : body.type)),
    ['epoch_open', 'r-2'],
  );
  assert.deepEqual(
    restart(t, world).spool.recovered[0]?.openCalls.map(({ requestId }) => requestId),
    ['r-1'],
  );
});

test('a first entry that the spool cannot take leaves the recorder to be opened again', async (t) => {
  const world = createWorld(t);
  const empty = fill(world.spool);
  await assert.rejects(world.recorder.ready(), SpoolUnavailable);
  assert.equal(world.recorder.epoch, 0);
  empty();
  await world.recorder.ready();
  assert.deepEqual(types(world), ['epoch_open']);
  assertVerifies(world);
});

test('an epoch with a call still open is not closed: the call is charged by the next process', async (t) => {
  const world = createWorld(t);
  await world.recorder.ready();
  world.recorder.openCall('r-1', reservation(5));
  world.recorder.close();
  assert.deepEqual(types(world), ['epoch_open']);
  assert.deepEqual(restart(t, world).spool.recovered[0]?.openCalls.length, 1);
});

test('a quarantined stream opens no call and still ends those in flight', async (t) => {
  const world = createWorld(t);
  const { recorder } = world;
  await recorder.ready();
  recorder.openCall('r-1', reservation(5));
  recorder.halt('another entry is stored in its place');
  assert.throws(() => recorder.openCall('r-2', reservation(5)), /quarantined: another entry/);
  recorder.append(call('r-1'));
  assert.deepEqual(types(world), ['epoch_open', 'call']);
});
