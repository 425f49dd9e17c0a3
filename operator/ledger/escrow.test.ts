import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wireDenial } from '../../core/budget/denial.ts';
import { type KeyName, keyName, operatorKey, streamId } from '../../core/names.ts';
import type { AccountNode, AccountPlan } from '../../core/policy/documents.ts';
import { giveBack } from './credit.ts';
import { endEscrow, mintEscrow } from './escrow.ts';
import { body, callBody, fakeWorld, type World } from './fake-world.ts';
import { abandon, type GrantAnswer } from './ledger.ts';
import { spent, view } from './view.ts';

const bot = keyName('agents', 'bot');
const kid = keyName('agents', 'bot.kid');
const grandkid = keyName('agents', 'bot.kid.kid');
const start = Date.UTC(2026, 10, 21, 12);

const root: AccountNode = { key: bot, limits: [{ window: 'Day', usdNano: 100, timeZone: 'Etc/UTC' }], rate: { requestsPerMinute: 3 } };

function path(...nodes: readonly AccountNode[]): AccountPlan {
  return { key: nodes.at(-1)?.key ?? bot, path: nodes.map(({ key }) => key), nodes };
}

function child(key: KeyName, escrowNano?: number): AccountNode {
  return { key, limits: [], rate: {}, ...(escrowNano === undefined ? {} : { escrowNano }) };
}

const botPlan = path(root);
const kidPlan = path(root, child(kid, 40));

function mint(world: World, usdNano = 40, parent = botPlan, key = kid) {
  return world.store.transaction((tx) => mintEscrow(tx, parent, key, usdNano));
}

function money(boundNano: number) {
  return { atLeastNano: boundNano, boundNano, wantNano: boundNano, atLeastRequests: 1, wantRequests: 1, tokens: 0 } as const;
}

function code(reply: GrantAnswer): string {
  return 'denial' in reply ? `${reply.denial.code} ${wireDenial(reply.denial).limitedBy}` : 'granted';
}

function day(world: World) {
  const account = world.store.transaction((tx) => view(tx, botPlan)).accounts.find(({ window }) => window === 'Day');
  return [account?.spentNanoUsd, account?.outstandingNanoUsd, account?.burnedNanoUsd].map(Number);
}

test('an escrow takes its money from the whole parent path until the earliest window end', () => {
  const world = fakeWorld(start);
  assert.deepEqual(mint(world), { expiresAtMs: Date.UTC(2026, 10, 22) });
  assert.deepEqual(day(world), [0, 40, 0]);
  assert.equal(code(world.proxy(bot, 'p').request(money(61), botPlan)), 'budget_reserved agents/bot Day');
});

test('what a child paid without a measurement is given back to its escrow, and to the parent once that has ended', () => {
  const world = fakeWorld(start);
  mint(world);
  const proxy = world.proxy(kid, 'p');
  const pay = (requestId: string): void => {
    const reply = proxy.request(money(40), kidPlan);
    assert.ok('grant' in reply, JSON.stringify(reply));
    const call = callBody(kid, [{ costNanoUsd: '40', grant: reply.grant.id }]);
    proxy.write({ ...call, requestId, estimated: true, time: '2026-11-21T12:00:00Z' });
    proxy.ship();
  };
  const credit = (seq: number): void =>
    world.store.transaction((tx) => {
      const outcome = giveBack(tx, { key: kid });
      assert.ok('parts' in outcome);
      const credited = { type: 'credited', credit: { key: kid, parts: outcome.parts } };
      const bytes = { previousMac: Buffer.alloc(32), mac: Buffer.alloc(32), salt: Buffer.alloc(16) };
      const entry = { stream: streamId(operatorKey, 'test'), epoch: 1, seq, key: operatorKey, type: 'credited', ...bytes };
      tx.streams.addEntry({ ...entry, body: Buffer.from(JSON.stringify(credited)) });
    });
  pay('r-1');
  assert.equal(code(proxy.request(money(1), kidPlan)), 'budget_exhausted agents/bot.kid Total');
  credit(0);
  assert.deepEqual(day(world), [0, 40, 0]);
  pay('r-2');
  assert.deepEqual(day(world), [40, 0, 0]);
  world.store.transaction((tx) => endEscrow(tx, kid));
  credit(1);
  assert.deepEqual(day(world), [0, 0, 0]);
});

test('an escrow that does not fit is refused and takes nothing', () => {
  const world = fakeWorld(start);
  assert.ok('denial' in mint(world, 101));
  assert.deepEqual(day(world), [0, 0, 0]);
  assert.throws(() => [mint(world), mint(world)], /already/);
});

test('a child spends what was set aside for it and not a cent more, even if the parent has more', () => {
  const world = fakeWorld(start);
  mint(world);
  const proxy = world.proxy(kid, 'p');
  assert.equal(code(proxy.request(money(41), kidPlan)), 'request_too_expensive agents/bot.kid Total');
  assert.equal(code(proxy.request(money(30), kidPlan)), 'granted');
  assert.equal(code(proxy.request(money(11), kidPlan)), 'budget_reserved agents/bot.kid Total');
  assert.deepEqual(day(world), [0, 40, 0]);
});

test('a child counts towards its parent’s requests and rate', () => {
  const world = fakeWorld(start);
  mint(world);
  const proxy = world.proxy(kid, 'p');
  for (let count = 0; count < 3; count += 1) assert.equal(code(proxy.request(money(1), kidPlan)), 'granted');
  assert.equal(code(proxy.request(money(1), kidPlan)), 'rate_limited agents/bot Minute');
});

test('all ancestors show what a child spends, and its end releases the rest', () => {
  const world = fakeWorld(start);
  mint(world);
  const proxy = world.proxy(kid, 'p');
  const reply = proxy.request(money(30), kidPlan);
  assert.ok('grant' in reply);
  proxy.write(callBody(kid, [{ grant: reply.grant.id, costNanoUsd: '25', requests: 1 }]));
  proxy.ship();
  assert.deepEqual(day(world), [25, 15, 0]);
  world.store.transaction((tx) => endEscrow(tx, kid));
  assert.deepEqual(day(world), [25, 5, 0]);
  assert.equal(code(proxy.request(money(1), kidPlan)), 'budget_exhausted agents/bot.kid Total');
  proxy.write(body('epoch_close'));
  proxy.ship();
  assert.deepEqual(day(world), [25, 0, 0]);
  assert.equal(
    world.store.transaction((tx) => spent(tx, kid)),
    25,
  );
});

test('what a child releases returns to its escrow', () => {
  const world = fakeWorld(start);
  mint(world);
  const proxy = world.proxy(kid, 'p');
  const reply = proxy.request(money(40), kidPlan);
  assert.ok('grant' in reply);
  proxy.wallet.drop([reply.grant.id]);
  proxy.write(body('release', { grants: [reply.grant.id] }));
  proxy.ship();
  assert.deepEqual(day(world), [0, 40, 0]);
  assert.equal(code(proxy.request(money(40), kidPlan)), 'granted');
});

test('what a child burns stays burned for its parent, also after it ended', () => {
  const world = fakeWorld(start);
  mint(world);
  const proxy = world.proxy(kid, 'p');
  proxy.request(money(30), kidPlan);
  world.store.transaction((tx) => abandon(tx, proxy.stream, 1));
  assert.deepEqual(day(world), [0, 10, 30]);
  world.store.transaction((tx) => endEscrow(tx, kid));
  assert.deepEqual(day(world), [0, 0, 30]);
});

test('a child of the same name has its whole budget again', () => {
  const world = fakeWorld(start);
  for (let life = 0; life < 2; life += 1) {
    mint(world);
    const proxy = world.proxy(kid, `p${life}`);
    const reply = proxy.request(money(40), kidPlan);
    assert.ok('grant' in reply);
    proxy.write(callBody(kid, [{ grant: reply.grant.id, costNanoUsd: '40', requests: 1 }]));
    proxy.ship();
    world.store.transaction((tx) => endEscrow(tx, kid));
  }
  assert.deepEqual(day(world), [80, 0, 0]);
});

test('a grandchild’s escrow comes out of the child’s', () => {
  const world = fakeWorld(start);
  mint(world);
  assert.ok('denial' in mint(world, 41, kidPlan, grandkid));
  assert.deepEqual(mint(world, 30, kidPlan, grandkid), { expiresAtMs: Date.UTC(2026, 10, 22) });
  assert.deepEqual(day(world), [0, 40, 0]);
  assert.equal(code(world.proxy(kid, 'p').request(money(11), kidPlan)), 'budget_reserved agents/bot.kid Total');
  const plan = path(root, child(kid, 40), child(grandkid, 30));
  assert.equal(code(world.proxy(grandkid, 'p').request(money(30), plan)), 'granted');
  world.store.transaction((tx) => endEscrow(tx, kid));
  assert.deepEqual(day(world), [0, 30, 0]);
});

test('a child without a budget of its own uses the whole path', () => {
  const world = fakeWorld(start);
  const plan = path(root, child(kid));
  assert.equal(code(world.proxy(kid, 'p').request(money(100), plan)), 'granted');
  assert.equal(code(world.proxy(bot, 'p').request(money(1), botPlan)), 'budget_reserved agents/bot Day');
});

test('an escrow ends with its window', () => {
  const world = fakeWorld(start);
  mint(world);
  world.clock.nowMs = Date.UTC(2026, 10, 22);
  assert.equal(code(world.proxy(kid, 'p').request(money(1), kidPlan)), 'budget_exhausted agents/bot.kid Total');
});

test('a child’s view shows its escrow as its cap', () => {
  const world = fakeWorld(start);
  mint(world);
  const proxy = world.proxy(kid, 'p');
  proxy.request(money(30), kidPlan);
  const account = world.store.transaction((tx) => view(tx, kidPlan)).accounts.find(({ key }) => key === kid);
  assert.deepEqual([account?.capNanoUsd, account?.outstandingNanoUsd], ['40', '30']);
});
