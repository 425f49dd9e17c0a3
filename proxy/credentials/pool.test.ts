import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { poolName } from '../../core/names.ts';
import type { PoolDocument } from '../../core/policy/documents.ts';
import type { Verdict } from '../provider/types.ts';
import { type CredentialValue, createPools, type NoneLeft, type Picked, type Pools } from './pool.ts';

const pool = poolName('platform', 'openai');
const nothing: ReadonlySet<string> = new Set();

function documentOf(keys: Readonly<Record<string, string>>): PoolDocument {
  const listed = Object.entries(keys).map(([name, quotaScope]) => ({ name, quotaScope }));
  const prices = { models: [], book: [], freeFields: [], learned: {}, priceBookDigest: 'sha256:0' };
  return { pool, provider: 'OpenAI', endpoint: 'https://api.openai.com', keys: listed, ...prices };
}

function valuesOf(keys: Readonly<Record<string, string>>, version = 1): CredentialValue[] {
  return Object.keys(keys).map((name) => ({ pool, name, value: `sk-${name}-${version}` }));
}

function start(keys: Readonly<Record<string, string>>): { pools: Pools; clock: { nowMs: number } } {
  const clock = { nowMs: 1_000_000 };
  const pools = createPools({ clock: () => clock.nowMs });
  pools.update([documentOf(keys)], valuesOf(keys));
  return { pools, clock };
}

function picked(choice: Picked | NoneLeft): Picked {
  assert.equal(choice.kind, 'picked');
  return choice as Picked;
}

function cooldown(untilMs: number, model = true): Verdict {
  return { kind: 'cooldown', untilMs, model, code: 'rate_limit_exceeded' };
}

test('a session stays in one quota scope, other calls rotate', () => {
  const { pools } = start({ a: 'x', b: 'y', c: 'z' });
  const session = Array.from({ length: 9 }, () => picked(pools.pick(pool, 'm', 'session-1', nothing)).credential);
  assert.equal(new Set(session).size, 1);
  const others = Array.from({ length: 9 }, () => picked(pools.pick(pool, 'm', undefined, nothing)).credential);
  assert.equal(new Set(others).size, 3);
});

test('sessions spread evenly, and a scope that appears or disappears moves only its own', () => {
  const keys = { a: 'a', b: 'b', c: 'c', d: 'd' };
  const { pools } = start(keys);
  const where = (): string[] => Array.from({ length: 2000 }, (_, i) => picked(pools.pick(pool, 'm', `session-${i}`, nothing)).quotaScope);
  const before = where();
  for (const scope of Object.values(keys)) assert.ok(Math.abs(before.filter((each) => each === scope).length - 500) < 100);
  const { d: _, ...fewer } = keys;
  pools.update([documentOf(fewer)], valuesOf(fewer));
  assert.ok(where().every((scope, i) => scope === before[i] || before[i] === 'd'));
});

test('keys of one scope share its limits, and the later deadline wins', () => {
  const { pools, clock } = start({ a: 'org', b: 'org' });
  const first = picked(pools.pick(pool, 'm', undefined, nothing));
  pools.report(first, 'm', { verdict: cooldown(clock.nowMs + 60_000), body: '{"a":1}' });
  pools.report(first, 'm', { verdict: cooldown(clock.nowMs + 5_000), body: '{"a":2}' });
  assert.deepEqual(pools.pick(pool, 'm', undefined, nothing), {
    kind: 'none',
    unauthorized: false,
    retryAtMs: clock.nowMs + 60_000,
    providerBody: '{"a":2}',
  });
  assert.equal(pools.pick(pool, 'other', undefined, nothing).kind, 'picked');
  clock.nowMs += 60_000;
  assert.equal(pools.pick(pool, 'm', undefined, nothing).kind, 'picked');
});

test('a disabled scope without a date promises none, and is probed after a while', () => {
  const { pools, clock } = start({ a: 'org' });
  pools.report(picked(pools.pick(pool, 'm', undefined, nothing)), 'm', { verdict: { kind: 'disabled', code: 'http_402' } });
  assert.deepEqual(pools.pick(pool, 'any', undefined, nothing), { kind: 'none', unauthorized: false });
  assert.equal(pools.state()[0]?.status, 'disabled');
  clock.nowMs += 300_000;
  assert.equal(pools.pick(pool, 'any', undefined, nothing).kind, 'picked');
});

test('a refused credential is set aside until its value changes, and is probed after a while', () => {
  const keys = { a: 'org' };
  const { pools, clock } = start(keys);
  const old = picked(pools.pick(pool, 'm', undefined, nothing));
  pools.report(old, 'm', { verdict: { kind: 'unauthorized', code: 'http_401' } });
  assert.deepEqual(pools.pick(pool, 'm', undefined, nothing), { kind: 'none', unauthorized: true });

  pools.update([documentOf(keys)], valuesOf(keys));
  assert.equal(pools.pick(pool, 'm', undefined, nothing).kind, 'none');

  pools.update([documentOf(keys)], valuesOf(keys, 2));
  pools.report(old, 'm', { verdict: { kind: 'unauthorized', code: 'http_401' } });
  const fresh = picked(pools.pick(pool, 'm', undefined, nothing));
  assert.equal(fresh.secret.reveal(), 'sk-a-2');

  pools.report(fresh, 'm', { verdict: { kind: 'unauthorized', code: 'http_401' } });
  assert.equal(pools.state()[0]?.status, 'unauthorized');
  clock.nowMs += 300_000;
  assert.equal(pools.pick(pool, 'm', undefined, nothing).kind, 'picked');
});

test('an update keeps the limits of remaining scopes and drops removed credentials at once', () => {
  const keys = { a: 'x', b: 'y' };
  const { pools, clock } = start(keys);
  pools.report(picked(pools.pick(pool, 'm', undefined, new Set(['y']))), 'm', { verdict: cooldown(clock.nowMs + 9_000, false) });
  pools.update([documentOf(keys)], valuesOf(keys, 2));
  assert.equal(picked(pools.pick(pool, 'm', undefined, nothing)).credential, 'b');
  pools.update([documentOf({ a: 'x' })], valuesOf({ a: 'x' }));
  assert.deepEqual(pools.pick(pool, 'm', undefined, nothing), { kind: 'none', unauthorized: false, retryAtMs: clock.nowMs + 9_000 });
  pools.update([], []);
  assert.deepEqual(pools.pick(pool, 'm', undefined, nothing), { kind: 'none', unauthorized: true });
});

test('a value is trimmed, and one that no header can carry is never sent', () => {
  const { pools } = start({});
  pools.update([documentOf({ a: 'a' })], [{ pool, name: 'a', value: ' sk-a\n' }]);
  assert.equal(picked(pools.pick(pool, 'm', undefined, nothing)).secret.reveal(), 'sk-a');
  for (const value of ['', '\n', 'sk\nhost: evil', 'schlüssel']) {
    pools.update([documentOf({ a: 'a' })], [{ pool, name: 'a', value }]);
    assert.deepEqual(pools.pick(pool, 'm', undefined, nothing), { kind: 'none', unauthorized: true });
  }
});

/** What should be so: a deadline for each scope, scope and model, and credential, the later one winning. */
function createModel(keys: Readonly<Record<string, string>>): {
  usable(at: { nowMs: number; model: string; tried: readonly string[] }): string[];
  note(credential: string, model: string, verdict: Verdict, nowMs: number): void;
} {
  const until = new Map<string, number>();
  const later = (key: string, ms: number): unknown => until.set(key, Math.max(ms, until.get(key) ?? 0));
  return {
    usable: ({ nowMs, model, tried }) =>
      Object.entries(keys)
        .filter(
          ([name, scope]) =>
            !tried.includes(scope) && [scope, `${scope}/${model}`, `=${name}`].every((key) => (until.get(key) ?? 0) <= nowMs),
        )
        .map(([name]) => name),
    note(credential, model, verdict, nowMs) {
      if (verdict.kind === 'unauthorized') later(`=${credential}`, nowMs + 300_000);
      if (verdict.kind === 'disabled') later(`${keys[credential]}`, verdict.untilMs ?? nowMs + 300_000);
      if (verdict.kind === 'cooldown') later(verdict.model ? `${keys[credential]}/${model}` : `${keys[credential]}`, verdict.untilMs);
    },
  };
}

test('a pool picks whenever something is usable, and never what is not', () => {
  const keys = { a: 'x', b: 'x', c: 'y', d: 'z' };
  const verdicts: readonly ((untilMs: number) => Verdict)[] = [
    (untilMs) => cooldown(untilMs),
    (untilMs) => cooldown(untilMs, false),
    (untilMs) => ({ kind: 'disabled', untilMs, code: 'x' }),
    () => ({ kind: 'disabled', code: 'x' }),
    () => ({ kind: 'unauthorized', code: 'x' }),
    () => ({ kind: 'overloaded', code: 'x' }),
    () => ({ kind: 'caller', code: 'x' }),
  ];
  const step = fc.record({
    waitMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 100_000 })),
    forMs: fc.integer({ min: -10, max: 20_000 }),
    verdict: fc.constantFrom(...verdicts),
    model: fc.constantFrom('m', 'n'),
    affinity: fc.option(fc.constantFrom('s', 't'), { nil: undefined }),
    tried: fc.subarray(['x', 'y', 'z']),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { pools, clock } = start(keys);
      const expected = createModel(keys);
      for (const { waitMs, forMs, verdict, model, affinity, tried } of steps) {
        clock.nowMs += waitMs;
        const usable = expected.usable({ nowMs: clock.nowMs, model, tried });
        const choice = pools.pick(pool, model, affinity, new Set(tried));
        assert.deepEqual(choice.kind === 'picked' ? usable.includes(choice.credential) : usable.length === 0, true);
        if (choice.kind === 'none') continue;
        const given = verdict(clock.nowMs + forMs);
        pools.report(choice, model, { verdict: given });
        expected.note(choice.credential, model, given, clock.nowMs);
      }
    }),
    { numRuns: 200 },
  );
});
