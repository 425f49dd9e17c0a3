import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type KeyName, keyName } from '../names.ts';
import { isFirm, type Place, WaitingLine } from './waiting-line.ts';

const keys = ['a', 'b', 'c'].map((name) => keyName('agents', name));
const maxWaitMs = 100;

interface Call extends Place {
  readonly nano: number;
}

/** A purse with a cap, in front of which calls wait as they do before the ledger. */
class Purse {
  readonly line = new WaitingLine<Call>();
  readonly served: Call[] = [];
  nowMs = 0;
  free: number;

  constructor(cap: number) {
    this.free = cap;
  }

  wait(key: KeyName, nano: number): Call {
    const call = { key, sinceMs: this.nowMs, maxWaitMs, nano };
    this.line.add(call);
    return call;
  }

  offer(): readonly Call[] {
    const taken = this.line.offer(this.nowMs, ({ nano }, ahead) => {
      const kept = ahead.reduce((sum, call) => sum + call.nano, 0);
      if (nano > this.free - kept) return 'waits';
      this.free -= nano;
      return 'took';
    });
    for (const call of taken) this.line.served(call);
    this.served.push(...taken);
    return taken;
  }
}

test('keys take turns; within a key the oldest is first, whenever it came into the line', () => {
  const purse = new Purse(4);
  const [a, b] = keys as [KeyName, KeyName];
  for (const [key, sinceMs] of [
    [a, 5],
    [a, 3],
    [a, 4],
    [b, 9],
  ] as const)
    purse.line.add({ key, sinceMs, maxWaitMs, nano: 1 });
  purse.nowMs = 10;
  assert.deepEqual(
    purse.offer().map(({ key, sinceMs }) => [key, sinceMs]),
    [
      [a, 3],
      [b, 9],
      [a, 4],
      [a, 5],
    ],
  );
  purse.free = 1;
  purse.wait(a, 1);
  purse.wait(b, 1);
  assert.deepEqual(
    purse.offer().map(({ key }) => key),
    [b],
    'b was served longer ago',
  );
});

test('a place that does not fit lets others pass, until half of its time is over', () => {
  const purse = new Purse(5);
  const [a, b] = keys as [KeyName, KeyName];
  const large = purse.wait(a, 9);
  const small = purse.wait(b, 3);
  assert.deepEqual(purse.offer(), [small]);
  purse.nowMs = maxWaitMs / 2;
  purse.wait(b, 2);
  assert.deepEqual(purse.offer(), []);
  purse.free = 9;
  assert.deepEqual(purse.offer(), [large]);
});

test('a place that left is not offered anything', () => {
  const purse = new Purse(5);
  const call = purse.wait(keys[0] as KeyName, 3);
  purse.line.remove(call);
  purse.line.remove(call);
  assert.deepEqual([purse.line.has(call), purse.line.size, purse.offer()], [false, 0, []]);
});

test('a line of any places in any order is the line of a list that is sorted after each change', () => {
  const change = fc.record({ key: fc.nat(1), sinceMs: fc.nat(5), leaves: fc.option(fc.nat(20)) });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
      const line = new WaitingLine<Call>();
      let model: Call[] = [];
      for (const [nano, { key: at, sinceMs, leaves }] of changes.entries()) {
        const call = { key: keys[at] ?? assert.fail(), sinceMs, maxWaitMs, nano };
        const leaving = leaves === null ? undefined : model[leaves % (model.length + 1)];
        if (leaving === undefined) line.add(call);
        else line.remove(leaving);
        model = leaving === undefined ? [...model, call] : model.filter((other) => other !== leaving);
        for (const key of keys) {
          const ofKey = (each: Call): boolean => each.key === key;
          // Stable: of one age, the one that came first.
          assert.deepEqual(
            [...line].filter(ofKey),
            model.filter(ofKey).sort((a, b) => a.sinceMs - b.sinceMs),
          );
        }
        assert.deepEqual([line.size, line.has(call), model.every((other) => line.has(other))], [model.length, model.includes(call), true]);
      }
    }),
    { numRuns: 200 },
  );
});

type Step =
  | { readonly do: 'wait'; readonly key: number; readonly nano: number }
  | { readonly do: 'end'; readonly which: number }
  | { readonly do: 'pass'; readonly ms: number };

const cap = 20;
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('wait' as const), key: fc.nat(2), nano: fc.integer({ min: 1, max: cap }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('end' as const), which: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 30 }) }) },
);

/** True if the younger call of the same key passed one that had waited half of its time. */
function passes({ line, nowMs }: Purse, younger: Call): boolean {
  return [...line].some((older) => older.key === younger.key && older.sinceMs < younger.sinceMs && isFirm(older, nowMs));
}

function run(purse: Purse, running: Call[], steps: readonly Step[]): void {
  for (const now of steps) {
    if (now.do === 'wait') purse.wait(keys[now.key] ?? assert.fail(), now.nano);
    if (now.do === 'pass') purse.nowMs += now.ms;
    if (now.do === 'end') purse.free += running.splice(now.which, 1)[0]?.nano ?? 0;
    const taken = purse.offer();
    for (const call of taken) assert.ok(!passes(purse, call), 'a younger call passed a firm one');
    running.push(...taken);
    assert.equal(purse.free + running.reduce((sum, { nano }) => sum + nano, 0), cap);
    assert.ok(purse.free >= 0, 'never over the cap');
  }
}

/** Others keep coming, and each call ends after a while. */
function goOn(purse: Purse, running: Call[], turns: number): void {
  for (let turn = 0; turn < turns; turn += 1) {
    for (const key of keys) purse.wait(key, 1);
    purse.free += running.shift()?.nano ?? 0;
    running.push(...purse.offer());
    purse.nowMs += 1;
  }
}

test('in any order of events the cap holds, no younger call passes a firm one of its key, and nobody starves', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const purse = new Purse(cap);
      const running: Call[] = [];
      run(purse, running, steps);
      const waiting = [...purse.line];
      purse.nowMs += maxWaitMs / 2;
      goOn(purse, running, 4 * (waiting.length + running.length + 1));
      assert.deepEqual(
        waiting.filter((call) => purse.line.has(call)),
        [],
      );
    }),
    { numRuns: 200, seed: 9 },
  );
});
