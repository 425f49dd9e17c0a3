import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { acknowledge, agreementMs, type PriceState, type Prices, type Sources, settle } from './settle.ts';

const day = 86_400_000;

/** One class of one model at both sources. */
function says(first: number, second: number | null = first): Sources {
  return { first: { input: first }, second: second === null ? null : { input: second } };
}

/** Settles one source after another, a day apart. */
function after(...sources: readonly Sources[]): {
  readonly price: number | undefined;
  readonly reasons: readonly string[];
  readonly state: PriceState;
} {
  let state: PriceState | null = null;
  let reasons: readonly string[] = [];
  for (const [index, source] of sources.entries()) {
    const settled = settle(state, source, index * day);
    state = settled.state;
    reasons = settled.waits.map(({ reason }) => reason);
  }
  assert.ok(state);
  return { price: state.inForce['input'], reasons, state };
}

describe('settle', () => {
  it('starts with the dearer of two sources, and asks about it if they differ by more than half', () => {
    assert.deepEqual([after(says(100, 140)).price, after(says(100, 140)).reasons], [140, []]);
    assert.deepEqual([after(says(160, 100)).price, after(says(160, 100)).reasons], [160, ['sources_differ']]);
    assert.deepEqual([after(says(100, null)).price, after(says(100, null)).reasons], [100, []]);
  });

  it('takes a rise at once, from either source', () => {
    assert.equal(after(says(100), says(120)).price, 120);
    assert.equal(after(says(100), says(100, 120)).price, 120);
  });

  it('takes a rise by more than half at once too, and asks about it until somebody acknowledges it', () => {
    const risen = after(says(100), says(160), says(160), says(160));
    assert.deepEqual([risen.price, risen.reasons], [160, ['rose']]);
    const accepted = settle(acknowledge(risen.state, says(160)), says(160), 5 * day);
    assert.deepEqual([accepted.state.inForce, accepted.waits], [{ input: 160 }, []]);
    assert.deepEqual(settle(accepted.state, says(160), 6 * day).waits, []);
  });

  it('takes a fall after both sources have agreed on it for 72 hours', () => {
    const first = settle(after(says(100)).state, says(80), day);
    assert.deepEqual([first.state.inForce, first.waits], [{ input: 100 }, []]);
    assert.equal(settle(first.state, says(80), day + agreementMs - 1).state.inForce['input'], 100);
    assert.equal(settle(first.state, says(80), day + agreementMs).state.inForce['input'], 80);
  });

  it('begins the 72 hours anew if the sources part, or agree on another price', () => {
    assert.equal(after(says(100), says(80), says(80, 100), says(80), says(80), says(80)).price, 100);
    assert.equal(after(says(100), says(80), says(80), says(70), says(70), says(70)).price, 100);
    assert.equal(after(says(100), says(80), says(80), says(70), says(70), says(70), says(70)).price, 70);
  });

  it('never takes a fall that one source alone names without an acknowledgement, which takes it at once', () => {
    for (const source of [says(80, 100), says(80, null)]) {
      const waiting = after(says(100, null), ...new Array(10).fill(source));
      assert.equal(waiting.price, 100);
      if (source.second === null) assert.deepEqual(waiting.reasons, ['fell_without_agreement']);
    }
    const waiting = after(says(100, null), says(80, null)).state;
    assert.equal(settle(acknowledge(waiting, says(80, null)), says(80, null), 2 * day).state.inForce['input'], 80);
  });

  it('never takes a fall by more than half without an acknowledgement, whose offer must be the present one', () => {
    const waiting = after(says(100), ...new Array(10).fill(says(40)));
    assert.deepEqual([waiting.price, waiting.reasons], [100, ['fell']]);
    assert.equal(settle(acknowledge(waiting.state, says(40)), says(40), 20 * day).state.inForce['input'], 40);
    assert.equal(settle(acknowledge(waiting.state, says(40)), says(10), 20 * day).state.inForce['input'], 100);
  });

  it('remembers a class that disappears, so that it does not come back cheaper', () => {
    const gone: Sources = { first: {}, second: null };
    assert.equal(after(says(100), gone, says(80), says(80)).price, 100);
  });
});

const price = fc.integer({ min: 0, max: 20 });
const pair = fc.record({ input: price, output: price });
const offer: fc.Arbitrary<Sources> = fc.record({ first: pair, second: fc.option(fc.oneof(pair, fc.record({ input: price }))) });
const history = fc.array(fc.record({ sources: offer, hours: fc.integer({ min: 0, max: 100 }) }), { minLength: 1, maxLength: 12 });

function dearest({ first, second }: Sources, name: string): number {
  return Math.max(first[name] ?? 0, (second as Prices | null)?.[name] ?? 0);
}

describe('settle, over any history without acknowledgements', () => {
  it('is never below what either source has said within 72 hours', () => {
    fc.assert(
      fc.property(history, (steps) => {
        let state: PriceState | null = null;
        let nowMs = 0;
        const said: { readonly atMs: number; readonly sources: Sources }[] = [];
        for (const { sources, hours } of steps) {
          nowMs += hours * 3_600_000;
          said.push({ atMs: nowMs, sources });
          const { state: next } = settle(state, sources, nowMs);
          state = next;
          // What was said last before the 72 hours began was still said when they began.
          const since = said.findLastIndex(({ atMs }) => atMs <= nowMs - agreementMs);
          for (const name of ['input', 'output']) {
            const highest = Math.max(...said.slice(Math.max(0, since)).map(({ sources: once }) => dearest(once, name)));
            const isAgreed = said.slice(Math.max(0, since)).every(({ sources: once }) => dearest(once, name) === dearest(sources, name));
            const inForce = next.inForce[name] ?? 0;
            assert.ok(inForce >= dearest(sources, name));
            if (!isAgreed) assert.ok(inForce >= highest, `${name}: ${inForce} after ${highest}`);
          }
        }
      }),
    );
  });

  it('changes nothing if it is asked again, and is never lower for dearer sources', () => {
    fc.assert(
      fc.property(history, fc.nat(5), (steps, more) => {
        let state: PriceState | null = null;
        let nowMs = 0;
        for (const { sources, hours } of steps) {
          nowMs += hours * 3_600_000;
          const before: PriceState | null = state;
          const settled = settle(before, sources, nowMs);
          assert.deepEqual(settle(settled.state, sources, nowMs), settled);
          const raise = (prices: Prices): Prices => Object.fromEntries(Object.entries(prices).map(([name, rate]) => [name, rate + more]));
          const dearer = settle(before, { first: raise(sources.first), second: sources.second && raise(sources.second) }, nowMs);
          for (const name of ['input', 'output']) {
            assert.ok((dearer.state.inForce[name] ?? 0) >= (settled.state.inForce[name] ?? 0));
          }
          state = settled.state;
        }
      }),
    );
  });
});
