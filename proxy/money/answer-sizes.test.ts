import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyName } from '../../core/names.ts';
import { AnswerSizes } from './answer-sizes.ts';

const bot = keyName('agents', 'bot');

test('the size of an answer is known to the key that received it alone', () => {
  const sizes = new AnswerSizes();
  sizes.note(bot, 'resp_1', 500);
  assert.equal(sizes.sizeOf(bot, 'resp_1'), 500);
  assert.equal(sizes.sizeOf(bot, 'resp_2'), null);
  assert.equal(sizes.sizeOf(keyName('agents', 'other'), 'resp_1'), null);
});

test('the oldest of too many answers is forgotten', () => {
  const sizes = new AnswerSizes();
  for (let id = 0; id < 5000; id += 1) sizes.note(bot, `resp_${id}`, id);
  assert.equal(sizes.sizeOf(bot, 'resp_0'), null);
  assert.equal(sizes.sizeOf(bot, 'resp_4999'), 4999);
});
