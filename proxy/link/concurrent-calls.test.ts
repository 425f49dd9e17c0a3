import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { keyName } from '../../core/names.ts';
import type { ConcurrencyLimit } from '../../core/policy/documents.ts';
import { ConcurrentCalls } from './concurrent-calls.ts';

const [org, team, bot] = [keyName('n', 'org'), keyName('n', 'team'), keyName('n', 'bot')];

test('a full node refuses, names itself and its limit, and counts the refused call nowhere', () => {
  const calls = new ConcurrentCalls();
  const limits = [
    { key: org, calls: 5 },
    { key: bot, calls: 1 },
  ];
  assert.equal(calls.enter(limits), null);
  const refusal = calls.enter(limits);
  assert.deepEqual([refusal?.code, refusal?.retryAfterSeconds, refusal?.limitedBy], ['rate_limited', 1, 'n/bot concurrentCalls']);
  assert.match(refusal?.message ?? '', /rate\.concurrentCalls of n\/bot allows 1 call at a time through one proxy/);
  assert.deepEqual([calls.of(org), calls.of(bot)], [1, 1]);
  calls.leave(limits);
  assert.deepEqual([calls.of(org), calls.of(bot)], [0, 0]);
});

test('the calls of all keys below count at a node, and a changed limit holds for the next call', () => {
  const calls = new ConcurrentCalls();
  const ofTeam = [
    { key: org, calls: 2 },
    { key: team, calls: 9 },
  ];
  const ofBot = [{ key: org, calls: 2 }];
  assert.deepEqual([calls.enter(ofTeam), calls.enter(ofBot)], [null, null]);
  assert.equal(calls.enter(ofTeam)?.limitedBy, 'n/org concurrentCalls');
  assert.equal(calls.enter([{ key: org, calls: 3 }]), null);
  calls.leave(ofTeam);
  assert.equal(calls.enter(ofBot)?.code, 'rate_limited', 'two are left');
});

const paths: readonly (readonly ConcurrencyLimit[])[] = [
  [{ key: org, calls: 4 }],
  [
    { key: org, calls: 4 },
    { key: team, calls: 2 },
  ],
  [
    { key: org, calls: 4 },
    { key: team, calls: 2 },
    { key: bot, calls: 1 },
  ],
];

test('in any order of calls no node has more than its limit, none is refused without a full node, and all are counted out', () => {
  const step = fc.record({ path: fc.constantFrom(...paths), ends: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const calls = new ConcurrentCalls();
      const running: (readonly ConcurrencyLimit[])[] = [];
      const count = (key: ConcurrencyLimit['key']): number => running.filter((path) => path.some((node) => node.key === key)).length;
      for (const { path, ends } of steps) {
        const ended = ends ? running.shift() : undefined;
        if (ended !== undefined) calls.leave(ended);
        const isFull = path.some((node) => count(node.key) >= node.calls);
        assert.equal(calls.enter(path) !== null, isFull);
        if (!isFull) running.push(path);
        for (const key of [org, team, bot]) assert.equal(calls.of(key), count(key));
      }
      for (const path of running) calls.leave(path);
      assert.deepEqual(
        [org, team, bot].map((key) => calls.of(key)),
        [0, 0, 0],
      );
    }),
  );
});
