import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type KeyName, keyName, tokenId } from '../core/names.ts';
import type { Snapshot } from '../core/protocol/snapshot.ts';
import { type Bench, openBench } from './broker.fixture.ts';

const bot = keyName('agents', 'bot');
const capped = { limits: [{ window: 'Total', usd: '1.00' }] };
const hourMs = 3_600_000;

function withBench(check: (bench: Bench, clock: { nowMs: number }) => Promise<void> | void): () => Promise<void> {
  return async () => {
    const clock = { nowMs: Date.UTC(2026, 10, 21) };
    const bench = openBench({ clock: () => clock.nowMs });
    try {
      await check(bench, clock);
    } finally {
      bench.close();
    }
  };
}

function snapshotOf({ broker }: Bench): Snapshot {
  let last: Snapshot | undefined;
  broker.watch((push) => {
    if (push.kind === 'snapshot') last = push;
  })();
  assert.ok(last);
  return last;
}

test(
  'a token stays the same over restarts and is kept sealed only',
  withBench((bench) => {
    assert.deepEqual(bench.declare({ 'agents/bot': capped }), []);
    const token = bench.files.read(bot);
    assert.ok(token);
    assert.deepEqual(bench.tokenIds(bot), [tokenId(token)]);
    bench.restart();
    bench.declare({ 'agents/bot': capped });
    assert.equal(bench.files.read(bot), token);
    assert.deepEqual(bench.tokenIds(bot), [tokenId(token)]);
  }),
);

test(
  'a token file that was lost is written again, with the same token',
  withBench((bench) => {
    bench.declare({ 'agents/bot': capped });
    const lost = bench.tokenIds(bot);
    bench.files.sync(new Map());
    bench.declare({ 'agents/bot': capped });
    assert.deepEqual(bench.tokenIds(bot), lost);
    assert.deepEqual([tokenId(bench.files.read(bot) ?? '')], lost);
  }),
);

test(
  'a deleted key is dead at once; re-created it has a new token',
  withBench((bench) => {
    bench.declare({ 'agents/bot': capped, 'agents/other': capped });
    const before = bench.tokenIds(bot);
    bench.declare({ 'agents/other': capped });
    assert.deepEqual(bench.tokenIds(bot), []);
    assert.equal(bench.files.read(bot), null);
    assert.deepEqual(
      snapshotOf(bench).keys.map(({ document }) => document.key),
      ['agents/other'],
    );
    bench.declare({ 'agents/bot': capped, 'agents/other': capped });
    assert.equal(bench.tokenIds(bot).length, 1);
    assert.notDeepEqual(bench.tokenIds(bot), before);
    assert.deepEqual(
      bench.events().filter((event) => event.endsWith('agents/bot')),
      ['key_created VirtualKey agents/bot', 'key_revoked VirtualKey agents/bot', 'key_created VirtualKey agents/bot'],
    );
  }),
);

test(
  'a ttl counts from when the key was first seen, also over restarts',
  withBench((bench, clock) => {
    bench.declare({ 'agents/bot': { ...capped, ttl: '2h' } });
    const started = clock.nowMs;
    clock.nowMs += hourMs;
    bench.declare({ 'agents/bot': { ...capped, ttl: '2h' } });
    assert.equal(snapshotOf(bench).keys[0]?.document.expiresAtMs, started + 2 * hourMs);
  }),
);

test(
  'a ttl counts from the creation of the object, if that is known: a lost store does not restart it',
  withBench((bench, clock) => {
    const createdAtMs = new Map([[bot, clock.nowMs - hourMs]]);
    bench.declare({ 'agents/bot': { ...capped, ttl: '2h' } }, { [bot]: 'uid-1' }, { createdAtMs });
    assert.equal(snapshotOf(bench).keys[0]?.document.expiresAtMs, clock.nowMs + hourMs);
    bench.broker.desk.rotate(bot, 0, 'admin');
    assert.equal(snapshotOf(bench).keys[0]?.document.expiresAtMs, clock.nowMs + hourMs);
  }),
);

test(
  'an edit with a mistake changes nothing: the last good state stays in force',
  withBench((bench) => {
    bench.declare({ 'agents/bot': capped });
    const before = snapshotOf(bench);
    const problems = bench.declare({ 'agents/bot': { ...capped, parentRef: { name: 'nobody' } }, 'agents/new': capped });
    assert.match(problems.join(), /agents\/nobody/);
    assert.deepEqual(snapshotOf(bench), before);
    assert.equal(bench.files.read(keyName('agents', 'new')), null);
    assert.deepEqual(bench.events(), ['key_created VirtualKey agents/bot']);
  }),
);

test(
  'an edit of a policy is recorded',
  withBench((bench) => {
    bench.declare({ 'agents/bot': capped });
    bench.declare({ 'agents/bot': { ...capped, suspended: true } });
    assert.deepEqual(bench.events(), ['key_created VirtualKey agents/bot', 'policy_changed VirtualKey agents/bot']);
  }),
);

test(
  'rotation gives a new token now and lets the old one work for the overlap',
  withBench((bench, clock) => {
    bench.declare({ 'agents/bot': capped });
    const old = bench.tokenIds(bot);
    const rotated = bench.broker.desk.rotate(bot, hourMs, 'admin');
    assert.deepEqual(rotated, { hint: bench.broker.desk.list()[0]?.hint, previousValidUntil: '2026-11-21T01:00:00.000Z' });
    const served = snapshotOf(bench).keys[0]?.tokens ?? [];
    assert.deepEqual(
      served.map(({ validUntilMs }) => validUntilMs),
      [undefined, clock.nowMs + hourMs],
    );
    assert.equal(tokenId(bench.files.read(bot) ?? ''), served[0]?.id);
    assert.equal(served[1]?.id, old[0]);
    clock.nowMs += hourMs;
    assert.equal(bench.tokenIds(bot).length, 1);
  }),
);

test(
  'rotation without overlap kills every older token, also one that an earlier overlap kept',
  withBench((bench) => {
    bench.declare({ 'agents/bot': capped });
    bench.broker.desk.rotate(bot, hourMs, 'admin');
    bench.broker.desk.rotate(bot, undefined, 'admin');
    assert.deepEqual(bench.tokenIds(bot), [tokenId(bench.files.read(bot) ?? '')]);
  }),
);

test(
  'a key that is rotated without end, its overlaps far from over, keeps its newest twenty tokens beside the one in force',
  withBench((bench, clock) => {
    bench.declare({ 'agents/bot': capped });
    const ids = Array.from({ length: 60 }, () => {
      clock.nowMs += 1_000;
      bench.broker.desk.rotate(bot, 1_000 * hourMs, 'admin');
      return tokenId(bench.broker.token(bot) ?? '');
    });
    assert.ok(bench.tokenIds(bot).length <= 22);
    assert.ok(ids.slice(-20).every((id) => bench.tokenIds(bot).includes(id)));
  }),
);

test(
  'a manifest’s rotation happens when it is due',
  withBench((bench, clock) => {
    const rotating = { ...capped, rotation: { every: '24h', overlap: '1h' } };
    bench.declare({ 'agents/bot': rotating });
    const before = bench.files.read(bot);
    clock.nowMs += 23 * hourMs;
    bench.broker.runUpkeep();
    assert.equal(bench.files.read(bot), before);
    clock.nowMs += hourMs;
    bench.broker.runUpkeep();
    assert.notEqual(bench.files.read(bot), before);
    assert.equal(bench.tokenIds(bot).length, 2);
  }),
);

test(
  'a revoked key stays dead over a restart, until it is rotated',
  withBench((bench) => {
    bench.declare({ 'agents/bot': capped });
    assert.equal(bench.broker.desk.revoke(bot, 'admin'), true);
    assert.equal(bench.broker.desk.revoke(keyName('agents', 'nobody'), 'admin'), false);
    assert.deepEqual(
      snapshotOf(bench).keys.map(({ tokens }) => tokens),
      [[]],
    );
    bench.restart();
    bench.declare({ 'agents/bot': capped });
    assert.deepEqual(bench.tokenIds(bot), []);
    assert.equal(bench.files.read(bot), null);
    assert.equal(bench.broker.desk.list()[0]?.state, 'revoked');
    bench.broker.desk.rotate(bot, undefined, 'admin');
    assert.equal(bench.broker.desk.list()[0]?.state, 'active');
    assert.deepEqual(bench.tokenIds(bot), [tokenId(bench.files.read(bot) ?? '')]);
  }),
);

test(
  'issueToken: false ends a token and what was minted with it permanently: true again gives another token',
  withBench(async (bench) => {
    const delegating = { ...capped, delegation: { maxDepth: 2, maxChildren: 5 } };
    bench.declare({ 'agents/bot': delegating });
    const before = bench.tokenIds(bot);
    await bench.broker.mint(bot, { name: 'a', usdNano: 1_000_000_000 });
    await bench.broker.mint(keyName('agents', 'bot.a'), { name: 'b' });
    bench.declare({ 'agents/bot': { ...delegating, issueToken: false } });
    assert.deepEqual([bench.tokenIds(bot), bench.files.read(bot), bench.broker.live()?.children], [[], null, []]);
    assert.equal((await bench.broker.account(bot)).accounts[0]?.outstandingNanoUsd, '0');
    bench.declare({ 'agents/bot': delegating });
    assert.equal(bench.tokenIds(bot).length, 1);
    assert.notDeepEqual(bench.tokenIds(bot), before);
    assert.deepEqual(
      snapshotOf(bench).keys.map(({ document }) => document.key),
      [bot],
    );
    assert.equal(bench.events().filter((event) => event === 'key_revoked VirtualKey agents/bot').length, 1);
  }),
);

test(
  'issueToken: false brings back no key that was revoked',
  withBench((bench) => {
    bench.declare({ 'agents/bot': capped });
    bench.broker.desk.revoke(bot, 'admin');
    bench.declare({ 'agents/bot': { ...capped, issueToken: false } });
    bench.declare({ 'agents/bot': capped });
    assert.deepEqual([bench.tokenIds(bot), bench.broker.desk.list()[0]?.state], [[], 'revoked']);
  }),
);

test(
  'the stand-in of a key keeps its token and its sub-agent keys',
  withBench(async (bench) => {
    const delegating = { ...capped, delegation: { maxDepth: 1, maxChildren: 5 } };
    bench.declare({ 'agents/bot': delegating });
    await bench.broker.mint(bot, { name: 'a' });
    const before = [bench.tokenIds(bot), bench.tokenIds('agents/bot.a')];
    bench.declare({ 'agents/bot': { issueToken: false, suspended: true } }, {}, { standIns: new Set([bot]) });
    assert.equal(bench.broker.token(bot), null);
    bench.declare({ 'agents/bot': delegating });
    assert.deepEqual([bench.tokenIds(bot), bench.tokenIds('agents/bot.a')], before);
    assert.equal(snapshotOf(bench).keys.length, 2);
  }),
);

test(
  'revoking a key ends the sub-agent keys that it minted',
  withBench(async (bench) => {
    bench.declare({ 'agents/bot': { ...capped, delegation: { maxDepth: 2, maxChildren: 5 } } });
    await bench.broker.mint(bot, { name: 'a' });
    await bench.broker.mint(keyName('agents', 'bot.a'), { name: 'b' });
    bench.broker.desk.revoke(bot, 'admin');
    assert.deepEqual(
      snapshotOf(bench).keys.map(({ document }) => document.key),
      [bot],
    );
    assert.deepEqual(bench.tokenIds('agents/bot.a.b'), []);
  }),
);

test(
  'a sub-agent key ends with its ttl and returns its escrow',
  withBench(async (bench, clock) => {
    bench.declare({ 'agents/bot': { ...capped, delegation: { maxDepth: 1, maxChildren: 1 } } });
    const minted = await bench.broker.mint(bot, { usdNano: 1_000_000_000, ttlMs: hourMs });
    assert.ok('child' in minted, JSON.stringify(minted));
    assert.equal(minted.child.expiresAt, '2026-11-21T01:00:00.000Z');
    const outstanding = async () => (await bench.broker.account(bot)).accounts[0]?.outstandingNanoUsd;
    assert.equal(await outstanding(), '1000000000');
    clock.nowMs += hourMs;
    bench.broker.runUpkeep();
    assert.equal(await outstanding(), '0');
    assert.deepEqual(await bench.broker.children(bot), []);
  }),
);

test(
  'sub-agent keys survive a restart and end with their parent’s manifest',
  withBench(async (bench) => {
    const delegating = { ...capped, delegation: { maxDepth: 1, maxChildren: 1 } };
    bench.declare({ 'agents/bot': delegating, 'agents/other': capped });
    await bench.broker.mint(bot, { name: 'a' });
    bench.restart();
    bench.declare({ 'agents/bot': delegating, 'agents/other': capped });
    assert.equal((await bench.broker.children(bot)).length, 1);
    bench.declare({ 'agents/other': capped });
    assert.deepEqual(bench.tokenIds('agents/bot.a'), []);
    bench.declare({ 'agents/bot': delegating, 'agents/other': capped });
    assert.deepEqual(await bench.broker.children(bot), []);
  }),
);

test(
  'a manifest wins over a sub-agent key of its name',
  withBench(async (bench) => {
    const delegating = { ...capped, delegation: { maxDepth: 1, maxChildren: 1 } };
    bench.declare({ 'agents/bot': delegating });
    await bench.broker.mint(bot, { name: 'a' });
    const [agents] = bench.tokenIds('agents/bot.a');
    bench.declare({ 'agents/bot': delegating, 'agents/bot.a': capped });
    assert.deepEqual(bench.tokenIds('agents/bot.a'), [tokenId(bench.files.read(keyName('agents', 'bot.a')) ?? '')]);
    assert.notEqual(bench.tokenIds('agents/bot.a')[0], agents);
    assert.deepEqual(await bench.broker.children(bot), []);
  }),
);

test(
  'a key that may not call may not mint either',
  withBench(async (bench, clock) => {
    const delegating = { ...capped, delegation: { maxDepth: 1, maxChildren: 1 } };
    const codeOf = async () => {
      const reply = await bench.broker.mint(bot, {});
      return 'denial' in reply ? reply.denial.code : 'minted';
    };
    bench.declare({ 'agents/bot': capped });
    assert.equal(await codeOf(), 'endpoint_denied');
    bench.declare({ 'agents/bot': { ...delegating, suspended: true } });
    assert.equal(await codeOf(), 'key_revoked');
    bench.declare({ 'agents/bot': { ...delegating, ttl: '1h' } });
    clock.nowMs += hourMs;
    assert.equal(await codeOf(), 'key_expired');
    bench.declare({ 'agents/bot': delegating });
    assert.equal(await codeOf(), 'minted');
    assert.equal(await codeOf(), 'quota_exhausted');
  }),
);

test(
  'an agent that mints and deletes keys without pause must wait, and can mint again after a minute',
  withBench(async (bench, clock) => {
    bench.declare({ 'agents/bot': { ...capped, delegation: { maxDepth: 1, maxChildren: 2 } } });
    const turn = async (): Promise<string> => {
      const reply = await bench.broker.mint(bot, {});
      if ('denial' in reply) return reply.denial.code;
      await bench.broker.unmint(bot, reply.child.key as KeyName);
      return 'minted';
    };
    for (let index = 0; index < 120; index += 1) assert.equal(await turn(), 'minted');
    assert.equal(await turn(), 'rate_limited');
    clock.nowMs += 60_000;
    assert.equal(await turn(), 'minted');
  }),
);
