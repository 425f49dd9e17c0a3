import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyName } from '../names.ts';
import { type Sharers, Shares } from './shares.ts';

const names = (first: string, ...below: string[]): Sharers => [keyName('agents', first), ...below.map((key) => keyName('agents', key))];
const [alone, other] = [names('alone'), names('other')];
const [loud, quiet] = [names('team', 'team.loud'), names('team', 'team.quiet')];

/** Takes as many of 384 places as the key gets, given what others hold already. */
function takeAll(shares: Shares, sharers: Sharers, used = 0): number {
  let taken = 0;
  for (; shares.hasRoom(sharers, 384 - used - taken); taken += 1) shares.take(sharers);
  return taken;
}

test('a key alone gets two thirds, and the next two thirds of the rest', () => {
  const shares = new Shares();
  assert.deepEqual([takeAll(shares, alone), takeAll(shares, other, 256)], [256, 86]);
});

test('of the keys below one VirtualKey none takes all that it may hold, and together they take no more than another key', () => {
  const shares = new Shares();
  const first = takeAll(shares, loud);
  assert.equal(first, 220);
  const second = takeAll(shares, quiet, first);
  assert.ok(second > 30, String(second));
  assert.ok(first + second <= 256);
  assert.ok(shares.hasRoom(alone, 384 - first - second));
});

test('minting keys does not get a VirtualKey a larger share', () => {
  const shares = new Shares();
  let used = 0;
  for (let n = 0; n < 50; n += 1) used += takeAll(shares, names('team', `team.k${n}`), used);
  assert.ok(used <= 256, String(used));
});

test('what is released is there again', () => {
  const shares = new Shares();
  for (let n = takeAll(shares, loud); n > 0; n -= 1) shares.release(loud);
  assert.deepEqual([takeAll(shares, alone)], [256]);
});
