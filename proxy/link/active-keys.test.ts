import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as settled } from 'node:timers/promises';
import type { Refusal } from '../../core/errors.ts';
import { keyName, type TokenId } from '../../core/names.ts';
import type { KeyDocument } from '../../core/policy/documents.ts';
import type { ServedKey, Snapshot } from '../../core/protocol/snapshot.ts';
import { bot, createPurse, keyDocument, openai, poolDocument } from '../line.fixture.ts';
import { type ActiveKey, type ActiveKeys, createActiveKeys, type InFlight } from './active-keys.ts';

const other = keyName('agents', 'other');
const [first, second] = ['t-1' as TokenId, 't-2' as TokenId];
const startMs = Date.UTC(2026, 10, 20);

interface World {
  readonly state: ActiveKeys;
  readonly clock: { ms: number };
  /** `open`, `recall` and `close` of each key's funds, in order. */
  readonly log: string[];
  snapshot(...keys: readonly ServedKey[]): Snapshot;
}

function createWorld(): World {
  const clock = { ms: startMs };
  const log: string[] = [];
  let revision = 0;
  const state = createActiveKeys({
    now: () => clock.ms,
    openFunds(key, free) {
      const name = key.slice(key.indexOf('/') + 1);
      void free.then(() => log.push(`open ${name}`));
      return {
        ...createPurse(1000),
        ready: () => free.then(() => null),
        recall: () => void log.push(`recall ${name}`),
        async close() {
          await settled();
          log.push(`close ${name}`);
        },
      };
    },
  });
  return {
    state,
    clock,
    log,
    snapshot: (...keys) => ({ kind: 'snapshot', revision: ++revision, keys, pools: [poolDocument()], credentials: [] }),
  };
}

function key(more: Partial<KeyDocument> = {}, tokens: ServedKey['tokens'] = [{ id: first, hint: '' }]): ServedKey {
  return { document: keyDocument(more), tokens };
}

interface FakeCall extends InFlight {
  readonly reasons: Refusal[];
  /** Settles and records it. */
  over(): void;
}

function fly(world: World, tokenId = first, of = bot): FakeCall {
  const active = activeOf(world, of);
  const { promise: finished, resolve } = Promise.withResolvers<void>();
  const reasons: Refusal[] = [];
  const call: FakeCall = {
    tokenId,
    reasons,
    finished,
    revoke: (reason) => void reasons.push(reason),
    over() {
      active.inFlight.delete(call);
      resolve();
    },
  };
  active.inFlight.add(call);
  return call;
}

function activeOf(world: World, of = bot): ActiveKey {
  const active = world.state.byKey(of);
  assert.ok(active !== undefined);
  return active;
}

function codes(call: FakeCall): string[] {
  return call.reasons.map(({ code }) => code);
}

test('no key is active before the first snapshot', () => {
  const { state } = createWorld();
  assert.deepEqual([state.revision, state.pools.size, state.byToken(first, startMs), [...state.all()]], [0, 0, null, []]);
});

test('a snapshot is indexed by token, key and pool', () => {
  const world = createWorld();
  world.state.apply(world.snapshot(key(), key({ key: other }, [{ id: second, hint: '' }])));
  assert.equal(world.state.revision, 1);
  assert.deepEqual([...world.state.pools.keys()], [openai]);
  assert.equal(world.state.byToken(first, startMs), activeOf(world));
  assert.equal(world.state.byToken(second, startMs), activeOf(world, other));
  assert.equal([...world.state.all()].length, 2);
});

test('a later snapshot replaces documents, and keeps the funds and the calls of a key', async () => {
  const world = createWorld();
  world.state.apply(world.snapshot(key()));
  const before = activeOf(world);
  const call = fly(world);
  world.state.apply(world.snapshot(key({ digest: 'sha256:later' })));
  assert.equal(activeOf(world), before);
  assert.equal(before.document.digest, 'sha256:later');
  await settled();
  assert.deepEqual([world.log, codes(call), before.inFlight.size], [['open bot'], [], 1]);
});

test('a token that worked once is gone, not unknown; a token that comes back works again', () => {
  const world = createWorld();
  world.state.apply(world.snapshot(key()));
  world.state.apply(world.snapshot(key({}, [{ id: second, hint: '' }])));
  assert.equal(world.state.byToken(first, startMs), 'gone');
  assert.equal(world.state.byToken('never' as TokenId, startMs), null);
  world.state.apply(world.snapshot(key()));
  assert.equal(world.state.byToken(first, startMs), activeOf(world));
  assert.equal(world.state.byToken(second, startMs), 'gone');
});

test('of the tokens that are gone the last ten thousand are remembered', () => {
  const world = createWorld();
  const token = (n: number) => `t-${n}` as TokenId;
  const tokens = Array.from({ length: 10_005 }, (_, n) => ({ id: token(n), hint: '' }));
  world.state.apply(world.snapshot(key({}, tokens)));
  world.state.apply(world.snapshot(key({}, [])));
  assert.deepEqual([world.state.byToken(token(4), startMs), world.state.byToken(token(5), startMs)], [null, 'gone']);
});

test('a rotated token works until its overlap ends', () => {
  const world = createWorld();
  const tokens = [
    { id: first, hint: '', validUntilMs: startMs + 1000 },
    { id: second, hint: '' },
  ];
  world.state.apply(world.snapshot(key({}, tokens)));
  assert.equal(world.state.byToken(first, startMs + 999), activeOf(world));
  assert.equal(world.state.byToken(first, startMs + 1000), 'gone');
  assert.equal(world.state.byToken(second, startMs + 1e12), activeOf(world));
});

test('suspension ends the calls in flight of that key alone', () => {
  const world = createWorld();
  const neighbour = key({ key: other }, [{ id: second, hint: '' }]);
  world.state.apply(world.snapshot(key(), neighbour));
  const [call, spared] = [fly(world), fly(world, second, other)];
  world.state.apply(world.snapshot(key({ suspendedBy: bot }), neighbour));
  assert.deepEqual([codes(call), codes(spared)], [['key_revoked'], []]);
  assert.match(call.reasons[0]?.message ?? '', /suspended/);
});

test('a token that is taken away ends its own calls, not those of the key’s other token', () => {
  const world = createWorld();
  const both = [first, second].map((id) => ({ id, hint: '' }));
  world.state.apply(world.snapshot(key({}, both)));
  const [call, spared] = [fly(world), fly(world, second)];
  world.state.apply(world.snapshot(key({}, both.slice(1))));
  assert.deepEqual([codes(call), codes(spared)], [['key_revoked'], []]);
});

test('an expiry ends the calls in flight; a postponed one does not', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const world = createWorld();
  const pass = (ms: number): void => {
    world.clock.ms += ms;
    t.mock.timers.tick(ms);
  };
  world.state.apply(world.snapshot(key({ expiresAtMs: startMs + 1000 })));
  const call = fly(world);
  world.state.apply(world.snapshot(key({ expiresAtMs: startMs + 5000 })));
  pass(4999);
  assert.deepEqual(codes(call), []);
  pass(1);
  assert.deepEqual(codes(call), ['key_expired']);
});

test('a key that is deleted leaves no timer of its expiry', (t) => {
  const set = t.mock.method(globalThis, 'setTimeout');
  const clear = t.mock.method(globalThis, 'clearTimeout');
  const world = createWorld();
  world.state.apply(
    world.snapshot(...['a', 'b', 'c'].map((name) => key({ key: keyName('subs', name), expiresAtMs: startMs + 3_600_000 }, []))),
  );
  const begun = set.mock.calls.map(({ result }) => result);
  assert.equal(begun.length, 3);
  world.state.apply(world.snapshot());
  const ended = new Set(clear.mock.calls.map(({ arguments: [timer] }) => timer));
  assert.deepEqual(
    begun.map((timer) => ended.has(timer)),
    [true, true, true],
  );
  // Nor does a later policy.
  const cleared = clear.mock.callCount();
  world.state.apply(world.snapshot());
  assert.equal(clear.mock.callCount(), cleared);
});

test('an expiry further off than any timer still comes', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const world = createWorld();
  const monthMs = 30 * 86_400_000;
  world.state.apply(world.snapshot(key({ expiresAtMs: startMs + monthMs })));
  const call = fly(world);
  for (let day = 0; day < 30; day += 1) {
    assert.deepEqual(codes(call), []);
    world.clock.ms += monthMs / 30;
    t.mock.timers.tick(monthMs / 30);
  }
  assert.deepEqual(codes(call), ['key_expired']);
});

test('no timer is set for longer than a timer can wait', async (t) => {
  const warnings: string[] = [];
  const listen = ({ name }: Error): void => void warnings.push(name);
  process.on('warning', listen);
  t.after(() => process.off('warning', listen));
  const world = createWorld();
  world.state.apply(world.snapshot(key({ expiresAtMs: startMs + 60 * 86_400_000 })));
  await settled();
  await world.state.close();
  assert.deepEqual(warnings, []);
});

test('a deleted key ends its calls, and its stream only after the last of them is recorded', async () => {
  const world = createWorld();
  world.state.apply(world.snapshot(key()));
  await settled();
  const [call, slower] = [fly(world), fly(world)];
  world.state.apply(world.snapshot());
  assert.deepEqual([codes(call), codes(slower)], [['key_revoked'], ['key_revoked']]);
  assert.deepEqual([world.state.byKey(bot), world.state.byToken(first, startMs)], [undefined, 'gone']);
  call.over();
  await settled();
  assert.deepEqual(world.log, ['open bot', 'recall bot']);
  slower.over();
  await settled();
  await settled();
  assert.deepEqual(world.log, ['open bot', 'recall bot', 'close bot']);
});

test('a key that is declared again while its last calls end continues its stream', async () => {
  const world = createWorld();
  world.state.apply(world.snapshot(key()));
  await settled();
  const before = activeOf(world);
  const call = fly(world);
  world.state.apply(world.snapshot());
  world.state.apply(world.snapshot(key({ digest: 'sha256:again' })));
  call.over();
  await settled();
  await settled();
  assert.equal(activeOf(world), before);
  assert.equal(before.document.digest, 'sha256:again');
  assert.deepEqual(world.log, ['open bot', 'recall bot']);
});

test('a key that is declared again while its stream ends opens the next one after that', async () => {
  const world = createWorld();
  world.state.apply(world.snapshot(key()));
  await settled();
  world.state.apply(world.snapshot());
  await Promise.resolve();
  await Promise.resolve();
  await Promise.resolve();
  world.state.apply(world.snapshot(key()));
  await settled();
  await settled();
  assert.deepEqual(world.log, ['open bot', 'recall bot', 'close bot', 'open bot']);
});

test('what an earlier process left of a deleted key is reclaimed by opening and ending its stream', async () => {
  const world = createWorld();
  world.state.reclaim(bot);
  await settled();
  await settled();
  assert.deepEqual(world.log, ['open bot', 'close bot']);
});

test('all is settled when no call is in flight, those of deleted keys included', async () => {
  const world = createWorld();
  world.state.apply(world.snapshot(key(), key({ key: other }, [{ id: second, hint: '' }])));
  const calls = [fly(world), fly(world, second, other)];
  world.state.apply(world.snapshot(key()));
  const done = watch(world.state.settled());
  for (const call of calls) {
    await settled();
    assert.equal(done.yet, false);
    call.over();
  }
  await settled();
  assert.equal(done.yet, true);
});

test('the end closes the funds of every key, and leaves no timer', async () => {
  const world = createWorld();
  world.state.apply(world.snapshot(key({ expiresAtMs: startMs + 1e9 }), key({ key: other }, [])));
  await world.state.close();
  assert.deepEqual(world.log, ['open bot', 'open other', 'close bot', 'close other']);
});

function watch(promise: Promise<void>): { yet: boolean } {
  const done = { yet: false };
  void promise.then(() => {
    done.yet = true;
  });
  return done;
}
