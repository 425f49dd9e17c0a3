import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { createChain } from '../../core/audit/chain.ts';
import { commit, createSealer, deriveEpochKey, ratchet } from '../../core/audit/entry.ts';
import type { Entry, EntryBody, ProxyBody } from '../../core/audit/types.ts';
import { learnedByPool } from '../ledger/learn.ts';
import { spent } from '../ledger/view.ts';
import { checkStore } from './check.ts';
import { openEpoch } from './epoch.ts';
import {
  bot,
  callBody,
  closeBody,
  createWorld,
  recoveredBody,
  refusalsBody,
  stream,
  team,
  type World,
  type Writer,
} from './evidence.fixture.ts';

function stored(world: World): EntryBody[] {
  return world.store.transaction((tx) => tx.streams.entries(0, 1000)).map(({ body }) => JSON.parse(body.toString()) as EntryBody);
}

function settled(world: World): number {
  return world.store.transaction((tx) => spent(tx, bot));
}

function ack(seq: number, epoch = 1): { acks: unknown; rejected: never[] } {
  return { acks: [{ stream, epoch, seq }], rejected: [] };
}

function refusal(world: World, entry: Entry): string {
  const { rejected } = world.ship([entry]);
  assert.equal(rejected.length, 1);
  assert.deepEqual([rejected[0]?.stream, rejected[0]?.epoch, rejected[0]?.seq], [entry.stream, entry.epoch, entry.seq]);
  return rejected[0]?.reason ?? '';
}

function assertIntact(world: World): void {
  assert.deepEqual(checkStore(world.store, world.deps.rootKey, []).problems, []);
}

/** An epoch with its opening entry shipped and a grant. */
function funded(world: World, nano = 100): { writer: Writer; grant: string } {
  const writer = world.writer();
  world.ship([writer.open()]);
  return { writer, grant: world.fund(writer, nano) };
}

test('entries are stored once and settle in the same transaction', () => {
  const world = createWorld();
  const { writer, grant } = funded(world);
  const call = writer.call([{ costNanoUsd: '30', grant }]);
  assert.deepEqual(world.ship([call]), ack(1));
  assert.deepEqual(world.ship([call]), ack(1));
  assert.deepEqual(world.ship([call, writer.call([{ costNanoUsd: '5', grant }]), call]), ack(2));
  assert.equal(settled(world), 35);
  assert.equal(
    world.store.transaction((tx) => spent(tx, team)),
    35,
  );
  assert.deepEqual(
    stored(world).map(({ type }) => type),
    ['epoch_open', 'call', 'call'],
  );
  assertIntact(world);
});

test('entries after a gap are not stored; the answer says where to continue', () => {
  const world = createWorld();
  const writer = world.writer();
  const entries = [writer.open(), writer.call(), writer.call(), writer.call()];
  assert.deepEqual(world.ship(entries.slice(2)), ack(-1));
  assert.deepEqual(world.ship([entries[0], entries[3]] as Entry[]), ack(0));
  assert.deepEqual(world.ship(entries), ack(3));
  assertIntact(world);
});

test('however an epoch is cut up, repeated and shuffled on the way, it is stored and paid exactly once', () => {
  fc.assert(
    fc.property(fc.array(fc.array(fc.nat(9), { maxLength: 12 }), { maxLength: 12 }), (batches) => {
      const world = createWorld();
      const { writer, grant } = funded(world, 1000);
      const entries = Array.from({ length: 10 }, (_, i) => writer.call([{ costNanoUsd: String(i), grant }]));
      for (const batch of batches) {
        const { rejected } = world.ship(batch.map((i) => entries[i] as Entry));
        assert.deepEqual(rejected, []);
      }
      assert.deepEqual(world.ship(entries), ack(10));
      assert.equal(settled(world), 45);
      assertIntact(world);
      world.store.close();
    }),
    { numRuns: 40 },
  );
});

test('another entry in a place that is taken quarantines the stream, says why, and neither is paid twice', () => {
  const world = createWorld();
  const { writer, grant } = funded(world);
  const fork = createChain({ stream, epoch: 1, key: Buffer.from(writer.chain.key()), head: 0, lastMac: writer.chain.lastMac() });
  world.ship([writer.call([{ costNanoUsd: '30', grant }])]);
  const forked = fork.append(callBody([{ costNanoUsd: '1', grant }]), randomBytes);
  assert.equal(refusal(world, forked), 'another entry is stored in its place');
  assert.equal(world.epoch(1).state, 'quarantined');
  assert.match(refusal(world, writer.call()), /quarantined/);
  assert.equal(settled(world), 30);
  const recorded = stored(world).find(({ type }) => type === 'stream_quarantined');
  assert.deepEqual(recorded && 'detail' in recorded && recorded.detail, {
    epoch: '1',
    seq: '1',
    reason: 'another entry is stored in its place',
  });
  const report = checkStore(world.store, world.deps.rootKey, []);
  assert.deepEqual(report.problems, []);
  assert.equal(report.notices.length, 1);
});

test('what was stored before a quarantine is still acknowledged', () => {
  const world = createWorld();
  const { writer } = funded(world);
  const call = writer.call();
  world.ship([call]);
  refusal(world, { ...writer.call(), mac: randomBytes(32) });
  assert.deepEqual(world.ship([call]), ack(1));
});

test('every single-field change of an entry is refused', () => {
  for (const field of ['mac', 'previousMac', 'salt', 'body'] as const) {
    const world = createWorld();
    const { writer } = funded(world);
    const entry = writer.call();
    const changed = Buffer.from(entry[field]);
    changed[0] = (changed[0] ?? 0) ^ 1;
    assert.match(refusal(world, { ...entry, [field]: changed }), /MAC does not fit|does not continue/);
    assert.equal(stored(world).filter(({ type }) => type === 'call').length, 0);
    world.store.close();
  }
});

/** What makes a group of refusals none. */
const malformedGroups: readonly (readonly [object, RegExp])[] = [
  [{ count: 0 }, /not counted/],
  [{ count: '3' }, /not counted/],
  [{ count: 1.5 }, /not counted/],
  [{ count: -1 }, /not counted/],
  [{ code: '' }, /no code or no endpoint/],
  [{ code: 'ok' }, /no code or no endpoint/],
  [{ endpoint: 7 }, /no code or no endpoint/],
  [{ from: 'now' }, /no times/],
  [{ to: undefined }, /no times/],
  [{ from: '2026-11-20T10:00:01Z', to: '2026-11-20T10:00:00.999Z' }, /end before they begin/],
  [{ model: 7 }, /no text/],
  [{ tokenId: '' }, /no text/],
];

test('refusals are stored, settle nothing, and verify', () => {
  const world = createWorld();
  const { writer, grant } = funded(world);
  world.ship([writer.write(refusalsBody()), writer.call([{ costNanoUsd: '30', grant }])]);
  assert.equal(settled(world), 30);
  assert.deepEqual(
    stored(world).find(({ type }) => type === 'refusals'),
    refusalsBody(),
  );
  assert.deepEqual(checkStore(world.store, world.deps.rootKey, []).problems, []);
});

test('a recovery names whole groups of refusals, or is refused', () => {
  const { type: _, v: _v, key: _key, time: _time, ...group } = refusalsBody();
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [{}, /no list/],
    [[7], /no groups/],
    ...malformedGroups.map(([more, reason]): readonly [unknown, RegExp] => [[group, { ...group, ...more }], reason]),
  ];
  for (const [refusals, reason] of cases) {
    const world = createWorld();
    funded(world);
    assert.match(refusal(world, world.writer().write(recoveredBody({ refusals: refusals as never }))), reason);
    world.store.close();
  }
  const world = createWorld();
  funded(world);
  world.ship([world.writer().write(recoveredBody({ refusals: [group] }))]);
  assert.equal(stored(world).at(-1)?.type, 'epoch_recovered');
});

test('bodies that are not what they must be are refused, with the reason', () => {
  const other = { key: 'agents/bat' };
  const cases: readonly (readonly [object, RegExp])[] = [
    [{ ...callBody([]), ...other }, /about agents\/bat in the stream of agents\/bot/],
    [{ ...callBody([]), v: 2 }, /another version/],
    [{ ...callBody([]), type: 'call_me' }, /unknown type call_me/],
    [{ ...callBody([]), type: 'toString' }, /unknown type/],
    [{ ...callBody([]), type: 'key_created' }, /unknown type/],
    [{ ...callBody([]), time: 'now' }, /time/],
    [{ ...callBody([]), costNanoUsd: '-1' }, /no amount/],
    [{ ...callBody([]), costNanoUsd: '1' }, /payments come to 0/],
    [{ ...callBody([]), costNanoUsd: 1 }, /no amount/],
    [{ ...callBody([]), estimated: 'no' }, /whether its cost is estimated/],
    [{ ...callBody([]), path: 'x' }, /no path/],
    [{ ...callBody([]), paidFrom: [{ grant: 'g' }] }, /no amount of a grant/],
    [{ ...callBody([]), paidFrom: {} }, /what paid/],
    [{ ...callBody([]), requestId: '' }, /requestId/],
    [{ ...closeBody(), type: 'release' }, /names no grants/],
    [recoveredBody({}), /begins with epoch_open/],
    ...malformedGroups.map(([group, reason]): readonly [object, RegExp] => [{ ...refusalsBody(), ...group }, reason]),
  ];
  for (const [body, reason] of cases) {
    const world = createWorld();
    const { writer } = funded(world);
    assert.match(refusal(world, writer.write(body as ProxyBody)), reason);
    assert.equal(world.epoch(1).state, 'quarantined');
    world.store.close();
  }
});

test('a body with two readings is refused even with a right MAC', () => {
  const world = createWorld();
  const { writer } = funded(world);
  const body = Buffer.from(JSON.stringify(callBody([])).replace('{', '{"costNanoUsd":"9",'));
  const entry = writer.call();
  const key = deriveEpochKey(world.deps.rootKey, writer.reply.nonce, stream, 1);
  const mac = createSealer(stream, 1)(ratchet(key), 1, entry.previousMac, commit(Buffer.concat([entry.salt, body])));
  assert.match(refusal(world, { ...entry, body, mac }), /not canonical/);
});

test('an epoch begins with its own opening entry', () => {
  const wrong: readonly (readonly [(writer: Writer) => Entry, RegExp])[] = [
    [(writer) => writer.call(), /begins with epoch_open/],
    [
      (writer) =>
        writer.write({
          bootId: '',
          instance: 'i-2',
          key: bot,
          nonce: writer.reply.nonce,
          time: '2026-11-20T10:00:00Z',
          type: 'epoch_open',
          v: 1,
        }),
      /another instance/,
    ],
    [(writer) => writer.write(recoveredBody({ recoveredEpoch: 1 })), /not before it/],
  ];
  for (const [write, reason] of wrong) {
    const world = createWorld();
    assert.match(refusal(world, write(world.writer())), reason);
    world.store.close();
  }
});

test('an epoch that was never opened here is refused', () => {
  const world = createWorld();
  const writer = createWorld().writer();
  assert.deepEqual(world.ship([writer.open()]), {
    acks: [{ stream, epoch: 1, seq: -1 }],
    rejected: [{ stream, epoch: 1, seq: 0, reason: 'its epoch was never opened here' }],
  });
});

test('money of another epoch quarantines, and nothing of the entry is settled or stored', () => {
  const world = createWorld();
  const { writer } = funded(world);
  assert.match(refusal(world, writer.call([{ costNanoUsd: '5', grant: 'somebody-elses' }])), /does not exist/);
  assert.equal(settled(world), 0);
  assertIntact(world);
});

test('a closed epoch gives everything back and takes nothing more', () => {
  const world = createWorld();
  const { writer } = funded(world);
  assert.deepEqual(world.ship([writer.write(closeBody())]), ack(1));
  assert.equal(world.epoch(1).state, 'closed');
  assert.match(refusal(world, writer.call()), /after the end of its epoch/);
});

test('a recovered epoch is charged for its open calls and the rest can be granted again', () => {
  const world = createWorld();
  const { grant } = funded(world, 100);
  const second = world.writer();
  const charges = [{ requestId: 'r-9', paidFrom: [{ costNanoUsd: '40', grant }] }];
  assert.deepEqual(world.ship([second.write(recoveredBody({ charges }))]), ack(0, 2));
  assert.equal(world.epoch(1).state, 'recovered');
  assert.equal(settled(world), 40);
  assert.deepEqual(
    world.store.transaction((tx) => tx.ledger.openGrants(stream, 1)),
    [],
  );
  world.fund(second, 999_960 / 4);
  assertIntact(world);
});

test('a recovery whose charge says something else than that it was measured is refused', () => {
  const world = createWorld();
  funded(world);
  const charges = [{ requestId: 'r-9', paidFrom: [], measured: false as never }];
  assert.match(refusal(world, world.writer().write(recoveredBody({ charges }))), /whether it was measured/);
});

test('an epoch of which nothing was left to recover burns what it held, visibly', () => {
  const world = createWorld();
  const { grant } = funded(world, 100);
  world.writer();
  const third = world.writer();
  world.ship([third.open()]);
  assert.deepEqual([world.epoch(1).state, world.epoch(2).state, world.epoch(3).state], ['abandoned', 'abandoned', 'open']);
  const recorded = stored(world).filter(({ type }) => type === 'epoch_abandoned');
  assert.deepEqual(
    recorded.map((body) => 'detail' in body && body.detail),
    [{ epoch: '1', lastSeq: '0', [`burned ${grant}`]: '100' }],
  );
  assert.equal(settled(world), 0);
  world.fund(third, 50);
  assertIntact(world);
});

test('late entries of an abandoned epoch are still stored and charged', () => {
  const world = createWorld();
  const { writer, grant } = funded(world, 100);
  const late = writer.call([{ costNanoUsd: '30', grant }]);
  world.ship([world.writer().open()]);
  assert.deepEqual(world.ship([late]), ack(1));
  assert.equal(settled(world), 30);
  assert.equal(world.epoch(1).state, 'abandoned');
  assertIntact(world);
});

test('a quarantined epoch that claims to be whole is burned, and the next one is served', () => {
  const world = createWorld();
  const { writer, grant } = funded(world, 100);
  refusal(world, { ...writer.call(), mac: randomBytes(32) });
  const second = world.writer();
  const charges = [{ requestId: 'r-9', paidFrom: [{ costNanoUsd: '40', grant }] }];
  world.ship([second.write(recoveredBody({ charges, whole: true }))]);
  assert.equal(world.epoch(1).state, 'quarantined');
  const recorded = stored(world).find(({ type }) => type === 'epoch_abandoned');
  assert.deepEqual(recorded && 'detail' in recorded && recorded.detail, { epoch: '1', lastSeq: '0', [`burned ${grant}`]: '60' });
  world.fund(second, 10);
  assertIntact(world);
});

test('a proxy is named by a plain instance', () => {
  const world = createWorld();
  for (const instance of ['a@b', '', 'a b', '../x']) {
    assert.throws(() => world.store.transaction((tx) => openEpoch(tx, { key: bot, instance }, world.deps)), RangeError);
  }
});

const breach = { features: ['tools' as const], model: 'gpt-5.4', percent: 200, pool: 'platform/openai', possible: true };
const attempts = [{ costNanoUsd: '0', credential: 'a', pool: 'platform/openai', status: 200 }];

function taught(world: World): unknown {
  return Object.fromEntries(world.store.transaction((tx) => learnedByPool(tx)));
}

test('a bill above its bound teaches the largest percent of its pool, model and feature', () => {
  const world = createWorld();
  const { writer } = funded(world);
  for (const percent of [150, 200, 120]) world.ship([writer.write({ ...callBody([]), attempts, breach: { ...breach, percent } })]);
  assert.deepEqual(taught(world), { 'platform/openai': { 'gpt-5.4': { percent: { tools: 200 }, refused: [] } } });
});

test('an impossible bill widens nothing: its features are refused', () => {
  const world = createWorld();
  const { writer } = funded(world);
  world.ship([writer.write({ ...callBody([]), attempts, breach })]);
  world.ship([writer.write({ ...callBody([]), attempts, breach: { ...breach, percent: 9000, possible: false } })]);
  assert.deepEqual(taught(world), { 'platform/openai': { 'gpt-5.4': { percent: { tools: 200 }, refused: ['tools'] } } });
});

test('what bills taught survives a restart, until somebody drops it', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'keyforge-learned-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'keyforge.db');
  const world = createWorld(path);
  const { writer } = funded(world);
  world.ship([writer.write({ ...callBody([]), attempts, breach })]);
  world.store.close();
  const next = createWorld(path);
  assert.deepEqual(taught(next), { 'platform/openai': { 'gpt-5.4': { percent: { tools: 200 }, refused: [] } } });
  const place = { pool: 'platform/openai', model: 'gpt-5.4', feature: 'tools' } as const;
  const drop = (): boolean => next.store.transaction((tx) => tx.learned.drop(place));
  assert.deepEqual([drop(), drop()], [true, false]);
  assert.deepEqual(taught(next), {});
  next.store.close();
});

test('an entry teaches nothing about a pool that its call did not go to, nor of an unknown feature or no excess', () => {
  const wrong = [
    { ...breach, pool: 'platform/other' },
    { ...breach, percent: 100 },
    { ...breach, features: ['magic' as 'tools'] },
  ];
  for (const teaching of wrong) {
    const world = createWorld();
    const { writer } = funded(world);
    assert.match(refusal(world, writer.write({ ...callBody([]), attempts, breach: teaching })), /its bill/);
    assert.deepEqual(taught(world), {});
  }
});
