import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyName } from '../names.ts';
import type { Grant } from '../protocol/money.ts';
import type { Need, Reservation, Shortage } from './types.ts';
import { Wallet } from './wallet.ts';

const key = keyName('agents', 'bot');

function grant(id: string, amountNano: number, more: Partial<Grant> = {}): Grant {
  return { id, key, amountNano, validAfterMs: 0, ...more };
}

function need(boundNano: number, more: Partial<Need> = {}): Need {
  return { atLeastNano: boundNano, preferredNano: boundNano, boundNano, requests: 1, tokens: 0, ...more };
}

/** A call's first try. */
function first(wallet: Wallet, wanted: Need, nowMs: number): Reservation | Shortage {
  wallet.note(wanted, nowMs);
  return wallet.reserve(wanted, nowMs);
}

function held(result: Reservation | Shortage): Reservation {
  assert.ok(!('kind' in result), JSON.stringify(result));
  return result;
}

function short(result: Reservation | Shortage): Shortage {
  assert.ok('kind' in result, JSON.stringify(result));
  return result;
}

test('an empty wallet says what it lacks', () => {
  const shortage = short(first(new Wallet(), need(100), 0));
  assert.deepEqual(shortage, {
    kind: 'shortage',
    heldNano: 0,
    atLeastNano: 100,
    preferredNano: 100,
    boundNano: 100,
    wantNano: 200,
    atLeastRequests: 1,
    wantRequests: 6,
    tokens: 0,
  });
});

test('what is reserved cannot be reserved again, and what a call did not use can', () => {
  const wallet = new Wallet();
  wallet.deposit(grant('g', 100), 0);
  const first = held(wallet.reserve(need(60), 1));
  assert.equal(short(wallet.reserve(need(60), 1)).boundNano, 20);
  assert.deepEqual(wallet.settle(first, 10, 0), [{ grant: 'g', costNanoUsd: '10', requests: 1 }]);
  assert.equal(wallet.heldNano(), 90);
  held(wallet.reserve(need(90), 1));
  assert.equal(wallet.reservedNano(), 90);
});

test('a reservation may span grants; those that end first pay first', () => {
  const wallet = new Wallet();
  wallet.deposit(grant('late', 50, { validForMs: 900 }), 0);
  wallet.deposit(grant('early', 30, { validForMs: 500 }), 0);
  const reservation = held(wallet.reserve(need(70), 1));
  assert.deepEqual(reservation.parts, [
    { grant: 'early', nano: 30 },
    { grant: 'late', nano: 40 },
  ]);
  assert.deepEqual(wallet.settle(reservation, 35, 0), [
    { grant: 'early', costNanoUsd: '30', requests: 1 },
    { grant: 'late', costNanoUsd: '5' },
  ]);
  assert.equal(wallet.heldNano(), 45);
});

test('a cost beyond the reservation is debt of the last grant, and that grant has so much less', () => {
  const wallet = new Wallet();
  wallet.deposit(grant('g', 100), 0);
  const reservation = held(wallet.reserve(need(60), 1));
  assert.deepEqual(wallet.settle(reservation, 75, 0), [{ grant: 'g', costNanoUsd: '75', requests: 1 }]);
  assert.equal(short(wallet.reserve(need(26), 1)).boundNano, 1);
});

test('a call that fits only in part reports a shortage first and then takes what fits', () => {
  const wallet = new Wallet();
  wallet.deposit(grant('g', 50), 0);
  const modest = need(80, { atLeastNano: 20 });
  const shortage = short(wallet.reserve(modest, 1));
  assert.deepEqual([shortage.heldNano, shortage.atLeastNano, shortage.boundNano], [50, 0, 30]);
  assert.equal(held(wallet.reserve(modest, 1, modest.atLeastNano)).amountNano, 50);
});

test('whatever fits is never less than the call needs', () => {
  const wallet = new Wallet();
  wallet.deposit(grant('g', 50), 0);
  assert.equal(short(wallet.reserve(need(80, { atLeastNano: 51 }), 1, 51)).atLeastNano, 1);
});

test('a grant admits calls from its start until its end, counted from when it was requested', () => {
  const wallet = new Wallet();
  wallet.deposit(grant('g', 100, { validAfterMs: 10, validForMs: 50 }), 1000);
  short(wallet.reserve(need(1), 1009));
  held(wallet.reserve(need(1), 1010));
  held(wallet.reserve(need(1), 1049));
  short(wallet.reserve(need(1), 1050));
});

test('a call that was admitted in time settles after the end', () => {
  const wallet = new Wallet();
  wallet.deposit(grant('g', 100, { validForMs: 50 }), 0);
  const reservation = held(wallet.reserve(need(60), 49));
  assert.deepEqual(wallet.expired(60), []);
  assert.equal(wallet.settle(reservation, 60, 0)[0]?.costNanoUsd, '60');
  assert.deepEqual(wallet.expired(60), ['g']);
  wallet.drop(['g']);
  assert.equal(wallet.heldNano(), 0);
});

test('a cancelled call gives back its money, its request and its tokens', () => {
  const wallet = new Wallet();
  wallet.deposit(grant('g', 100, { requests: 1, tokens: 40 }), 0);
  const reservation = held(wallet.reserve(need(100, { tokens: 40 }), 1));
  short(wallet.reserve(need(0), 1));
  wallet.cancel(reservation);
  held(wallet.reserve(need(100, { tokens: 40 }), 1));
});

test('requests and tokens are counted on one grant that has both', () => {
  const wallet = new Wallet();
  wallet.deposit(grant('a', 100, { requests: 5, tokens: 10 }), 0);
  wallet.deposit(grant('b', 1, { requests: 1, tokens: 50 }), 0);
  const reservation = held(wallet.reserve(need(30, { tokens: 20 }), 1));
  assert.deepEqual(reservation.counted, { grant: 'b', requests: 1, tokens: 20 });
  assert.deepEqual(wallet.settle(reservation, 30, 25), [
    { grant: 'b', costNanoUsd: '0', requests: 1, tokens: 25 },
    { grant: 'a', costNanoUsd: '30' },
  ]);
  const shortage = short(wallet.reserve(need(30, { tokens: 20 }), 1));
  assert.deepEqual([shortage.boundNano, shortage.atLeastRequests, shortage.tokens], [0, 1, 20]);
});

test('what costs nothing needs a grant only to be counted', () => {
  const wallet = new Wallet();
  const free = held(wallet.reserve(need(0, { requests: 0 }), 1));
  assert.deepEqual(wallet.settle(free, 0, 0), []);
  short(wallet.reserve(need(0), 1));
  wallet.deposit(grant('g', 0), 0);
  const counted = held(wallet.reserve(need(0), 1));
  assert.deepEqual(wallet.settle(counted, 0, 0), [{ grant: 'g', costNanoUsd: '0', requests: 1 }]);
  held(wallet.reserve(need(0), 1));
});

test('the same grant twice is one grant, also after it was spent', () => {
  const wallet = new Wallet();
  wallet.deposit(grant('g', 100), 0);
  wallet.deposit(grant('g', 100), 5);
  wallet.settle(held(wallet.reserve(need(100), 6)), 100, 0);
  wallet.deposit(grant('g', 100), 7);
  assert.equal(wallet.heldNano(), 0);
});

test('a reservation ends once', () => {
  const wallet = new Wallet();
  wallet.deposit(grant('g', 100), 0);
  const reservation = held(wallet.reserve(need(50), 1));
  wallet.settle(reservation, 5, 0);
  assert.throws(() => wallet.settle(reservation, 5, 0), /twice/);
  assert.throws(() => wallet.cancel(reservation), /twice/);
  assert.equal(wallet.heldNano(), 95);
});

test('only what no call holds is idle and can be dropped', () => {
  const wallet = new Wallet();
  wallet.deposit(grant('a', 100), 0);
  wallet.deposit(grant('b', 100), 0);
  wallet.deposit(grant('next', 100, { validAfterMs: 500 }), 0);
  held(wallet.reserve(need(50), 1));
  assert.deepEqual(wallet.idle(1), ['b']);
  assert.throws(() => wallet.drop(['a']), /in flight/);
  wallet.drop(['b']);
  short(wallet.reserve(need(51), 1));
});

test('a cost that is no whole number ≥ 0 is an error before anything is settled', () => {
  const wallet = new Wallet();
  wallet.deposit(grant('g', 100), 0);
  const reservation = held(wallet.reserve(need(50), 1));
  for (const cost of [-1, 0.5, Number.NaN]) assert.throws(() => wallet.settle(reservation, cost, 0), RangeError);
  assert.equal(wallet.reservedNano(), 50);
});

test('it requests more in the background below half, at most once a second and only while it is used', () => {
  const wallet = new Wallet();
  wallet.deposit(grant('g', 1000), 0);
  assert.equal(wallet.refill(1), null);
  wallet.settle(held(first(wallet, need(100), 1)), 100, 0);
  assert.equal(wallet.refill(2), null);
  wallet.settle(held(first(wallet, need(450), 3)), 450, 0);
  const refill = wallet.refill(4);
  assert.deepEqual([refill?.heldNano, refill?.atLeastNano, refill?.boundNano, refill?.wantNano], [450, 0, 0, 450 + 450 + 5 * 550 - 450]);
  assert.equal(wallet.refill(5), null);
  assert.notEqual(wallet.refill(1500), null);
  assert.equal(wallet.refill(500_000), null);
});

test('a refill in the background covers requests and tokens too', () => {
  const wallet = new Wallet();
  wallet.deposit(grant('g', 1000, { requests: 3, tokens: 100 }), 0);
  wallet.settle(held(first(wallet, need(1, { tokens: 60 }), 1)), 1, 60);
  const refill = wallet.refill(2);
  assert.deepEqual([refill?.atLeastRequests, refill?.tokens], [0, 60]);
});

test('retired grants admit no further call, and each can be released when its last call ends', () => {
  const wallet = new Wallet();
  wallet.deposit(grant('a', 100), 0);
  wallet.deposit(grant('next', 100, { validAfterMs: 500 }), 0);
  const running = held(wallet.reserve(need(40), 1));
  wallet.retire(1);
  short(wallet.reserve(need(60), 1));
  assert.deepEqual(wallet.retired(), []);
  wallet.settle(running, 10, 0);
  assert.deepEqual(wallet.retired(), ['a']);
  wallet.drop(['a']);
  held(wallet.reserve(need(100), 500));
});
