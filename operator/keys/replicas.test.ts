import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { keyName, tokenId } from '../../core/names.ts';
import { type Bench, openBench } from '../broker.fixture.ts';
import type { RunScope } from '../sessions/scope.ts';
import { runKey } from './children.ts';

const bot = keyName('agents', 'bot');
const spec = { limits: [{ window: 'Total', usd: '1.00' }], delegation: { maxDepth: 1, maxChildren: 5 } };
const dayMs = 86_400_000;

/** Two replicas over one store, the first of which decides. */
function withTwo(check: (leader: Bench, follower: Bench, clock: { nowMs: number }) => Promise<void> | void): () => Promise<void> {
  return async () => {
    const now = { nowMs: Date.UTC(2026, 10, 21) };
    const clock = (): number => now.nowMs;
    const leader = openBench({ clock, poolProblems: 'withdraw' });
    const follower = openBench({ clock, poolProblems: 'withdraw', folder: leader.folder });
    follower.decides = () => false;
    try {
      await check(leader, follower, now);
    } finally {
      follower.close();
      leader.close();
    }
  };
}

/** The tokens of the key at this replica. */
function opens({ broker }: Bench, key = bot): string | null {
  const token = broker.token(key);
  return token === null ? null : tokenId(token);
}

test(
  'a key begins its life where it is decided, and is served by all once they look',
  withTwo((leader, follower) => {
    assert.deepEqual(follower.declare({ 'agents/bot': spec }), []);
    assert.deepEqual([follower.broker.live()?.documents.has(bot), opens(follower)], [false, null]);
    leader.declare({ 'agents/bot': spec });
    follower.broker.refresh();
    assert.ok(opens(follower));
    assert.equal(opens(follower), opens(leader));
    assert.equal(follower.events().filter((event) => event === 'key_created VirtualKey agents/bot').length, 1);
  }),
);

test(
  'a replica does not end the life of a key that it does not know yet',
  withTwo((leader, follower) => {
    leader.declare({ 'agents/bot': spec });
    const before = opens(leader);
    follower.declare({});
    leader.broker.refresh();
    leader.declare({ 'agents/bot': spec });
    assert.equal(opens(leader), before);
  }),
);

test(
  'a deleted key is dead at once at every replica that sees the deletion, whichever decides',
  withTwo((leader, follower) => {
    for (const each of [leader, follower]) each.declare({ 'agents/bot': spec });
    follower.declare({});
    assert.deepEqual([opens(follower), follower.broker.live()?.documents.size], [null, 0]);
  }),
);

test(
  'the token of a key’s last life does not open its re-created key, even before the new life begins',
  withTwo((leader, follower) => {
    for (const each of [leader, follower]) each.declare({ 'agents/bot': spec }, { 'agents/bot': 'first' });
    const before = opens(follower);
    assert.ok(before);
    follower.declare({ 'agents/bot': spec }, { 'agents/bot': 'second' });
    assert.equal(opens(follower), null);
    leader.declare({ 'agents/bot': spec }, { 'agents/bot': 'second' });
    follower.broker.refresh();
    assert.equal(opens(follower), opens(leader));
    assert.notEqual(opens(follower), before);
  }),
);

test(
  'a token rotated at one replica works at the other; a key revoked at one is dead at the other',
  withTwo((leader, follower) => {
    for (const each of [leader, follower]) each.declare({ 'agents/bot': spec });
    follower.broker.desk.rotate(bot, 0, 'root');
    leader.broker.refresh();
    assert.equal(opens(leader), opens(follower));
    leader.broker.desk.revoke(bot, 'root');
    follower.broker.refresh();
    assert.equal(opens(follower), null);
  }),
);

test(
  'a sub-agent key minted at one opens at the other and ends at both',
  withTwo(async (leader, follower, clock) => {
    for (const each of [leader, follower]) each.declare({ 'agents/bot': spec });
    const minted = await follower.broker.mint(bot, { name: 'helper', ttlMs: 1000 });
    assert.ok('token' in minted);
    leader.broker.refresh();
    const child = keyName('agents', 'bot.helper');
    assert.equal(leader.broker.live()?.tokens.get(child)?.current?.id, tokenId(minted.token));
    clock.nowMs += 1001;
    follower.broker.runUpkeep();
    leader.broker.refresh();
    assert.equal(leader.broker.live()?.documents.has(child), false);
  }),
);

test(
  'a replica does not end sub-agent keys of a key that it does not know yet',
  withTwo(async (leader, follower) => {
    for (const each of [leader, follower]) each.declare({ 'agents/bot': spec });
    await leader.broker.mint(bot, { name: 'helper' });
    follower.declare({});
    follower.broker.desk.list();
    leader.broker.refresh();
    leader.broker.desk.rotate(bot, 0, 'root');
    assert.ok(leader.broker.live()?.documents.has(keyName('agents', 'bot.helper')));
  }),
);

test(
  'what the other has just written counts at once: a revoked key ends a new sub-agent too, and maxChildren stays exhausted',
  withTwo(async (leader, follower) => {
    const few = { ...spec, delegation: { maxDepth: 1, maxChildren: 2 } };
    for (const each of [leader, follower]) each.declare({ 'agents/bot': few });
    for (const [each, name] of [
      [follower, 'a'],
      [leader, 'b'],
      [follower, 'c'],
    ] as const)
      await each.broker.mint(bot, { name });
    leader.broker.refresh();
    assert.deepEqual(
      leader.broker.live()?.children.map(({ key }) => key),
      ['agents/bot.a', 'agents/bot.b'],
    );
    await leader.broker.unmint(bot, keyName('agents', 'bot.b'));
    assert.ok('token' in (await follower.broker.mint(bot, { name: 'd' })));
    leader.broker.desk.revoke(bot, 'root');
    follower.broker.refresh();
    for (const { broker } of [leader, follower]) assert.deepEqual(broker.live()?.children, []);
    assert.ok('denial' in (await follower.broker.mint(bot, { name: 'e' })), 'there is nothing to mint beneath a revoked key');
  }),
);

test(
  'a key of a life that is over mints nothing into the new one',
  withTwo(async (leader, follower) => {
    for (const each of [leader, follower]) each.declare({ 'agents/bot': spec }, { 'agents/bot': 'first' });
    leader.declare({ 'agents/bot': spec }, { 'agents/bot': 'second' });
    assert.ok('denial' in (await follower.broker.mint(bot, { name: 'helper' })));
  }),
);

test(
  'a run of a Pod that two replicas see is made once',
  withTwo(async (leader, follower) => {
    for (const each of [leader, follower]) each.declare({ 'agents/bot': { ...spec, run: { scope: 'Pod' } } });
    const scope = { kind: 'sidecar', instance: 'p', key: bot, run: { podUid: 'p', podName: 'p' }, podCreatedAtMs: 0 } as const;
    const stops = [leader, follower].map(({ broker }) => broker.session(scope).watch(() => {}));
    for (const { broker } of [leader, follower])
      for (let tries = 0; tries < 1000 && broker.live()?.children.length !== 1; tries++)
        await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(leader.events().filter((event) => event.startsWith('key_created VirtualKey agents/bot.run-')).length, 1);
    for (const stop of stops) stop();
  }),
);

test(
  'before the life of a key has begun there is nothing to revoke or to rotate',
  withTwo((leader, follower) => {
    follower.declare({ 'agents/bot': spec });
    const { desk } = follower.broker;
    assert.deepEqual([desk.revoke(bot, 'root'), desk.rotate(bot, 0, 'root'), desk.list()], [false, 'unknown', []]);
    leader.declare({ 'agents/bot': spec });
    assert.equal(desk.revoke(bot, 'root'), true);
  }),
);

test(
  'a replica that begins to decide checks every token, and records the edits of the meantime',
  withTwo((leader, follower) => {
    leader.declare({ 'agents/bot': spec });
    const before = opens(leader);
    follower.declare({ 'agents/bot': spec });
    follower.declare({ 'agents/bot': { ...spec, perRequest: { usd: '0.10' } } });
    const db = new DatabaseSync(join(leader.folder, 'keyforge.db'));
    db.exec('UPDATE tokens SET sealed = zeroblob(80)');
    db.close();
    follower.decides = () => true;
    follower.declare({ 'agents/bot': { ...spec, perRequest: { usd: '0.10' } } });
    assert.ok(opens(follower));
    assert.notEqual(opens(follower), before);
    const recorded = ['key_rotated VirtualKey agents/bot', 'policy_changed VirtualKey agents/bot'];
    assert.deepEqual(follower.events().slice(-2), recorded);
  }),
);

test(
  'a run waits for the life of its key',
  withTwo(async (leader, follower) => {
    follower.declare({ 'agents/bot': { ...spec, run: { scope: 'Pod' } } });
    const run: RunScope = { podUid: 'p', podName: 'p' };
    let pushes = 0;
    const scope = { kind: 'sidecar', instance: 'p', key: bot, run, podCreatedAtMs: 0 } as const;
    const stop = follower.broker.session(scope).watch(() => {
      pushes += 1;
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.ok(pushes <= 1, 'nothing is made, so nothing changes');
    leader.declare({ 'agents/bot': { ...spec, run: { scope: 'Pod' } } });
    follower.broker.refresh();
    for (let tries = 0; tries < 1000 && follower.broker.live()?.children.length !== 1; tries++)
      await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(follower.broker.live()?.children.length, 1);
    stop();
  }),
);

test(
  'a manifest with the name of a run replaces it, once',
  withTwo(async (leader) => {
    const name = runKey(bot, { scope: 'Pod' }, { podUid: 'p', podName: 'p' });
    leader.declare({ 'agents/bot': { ...spec, run: { scope: 'Pod' } }, [name]: { ...spec, issueToken: false } });
    const scope = { kind: 'sidecar', instance: 'p', key: bot, run: { podUid: 'p', podName: 'p' }, podCreatedAtMs: 0 } as const;
    const stop = leader.broker.session(scope).watch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 100));
    stop();
    assert.equal(leader.events().filter((event) => event === `key_created VirtualKey ${name}`).length, 1);
  }),
);

test(
  'due rotations, and edits, are recorded once',
  withTwo((leader, follower, clock) => {
    const rotating = { ...spec, rotation: { every: '24h', overlap: '1h' } };
    for (const each of [leader, follower]) each.declare({ 'agents/bot': rotating });
    clock.nowMs += dayMs;
    for (const each of [follower, leader]) each.broker.runUpkeep();
    follower.broker.refresh();
    assert.equal(opens(follower), opens(leader));
    const edited = { ...rotating, perRequest: { usd: '0.10' } };
    for (const each of [follower, leader]) each.declare({ 'agents/bot': edited });
    const recorded = leader.events().filter((event) => /key_rotated|policy_changed/.test(event));
    assert.deepEqual(recorded, ['key_rotated VirtualKey agents/bot', 'policy_changed VirtualKey agents/bot']);
  }),
);
