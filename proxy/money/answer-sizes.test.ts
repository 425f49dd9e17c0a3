import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import { type KeyName, keyName } from '../../core/names.ts';
import { ControlUnavailable } from '../../core/protocol/control.ts';
import { AnswerSizes } from './answer-sizes.ts';

const bot = keyName('agents', 'bot');
const asked: string[] = [];

function sizes(known: (key: KeyName, sha256: string) => number | null = () => null): AnswerSizes {
  asked.length = 0;
  const answerTokens = async (key: KeyName, sha256: string): Promise<number | null> => {
    asked.push(`${key} ${sha256}`);
    return known(key, sha256);
  };
  return new AnswerSizes({ answerTokens });
}

test('the size of an answer is known to the key that received it alone', async () => {
  const known = sizes();
  assert.equal(known.note(bot, 'resp_1', 500), hash('sha256', 'resp_1'));
  assert.equal(known.sizeOf(bot, 'resp_1'), 500);
  assert.deepEqual(asked, []);
  assert.equal(await known.sizeOf(bot, 'resp_2'), null);
  assert.equal(await known.sizeOf(keyName('agents', 'other'), 'resp_1'), null);
  assert.deepEqual(asked, [`agents/bot ${hash('sha256', 'resp_2')}`, `agents/other ${hash('sha256', 'resp_1')}`]);
});

test('the operator is asked once for an answer of another time, and its absence is no error', async () => {
  const known = sizes(() => 700);
  assert.equal(await known.sizeOf(bot, 'resp_1'), 700);
  assert.equal(known.sizeOf(bot, 'resp_1'), 700);
  assert.equal(asked.length, 1);
  const away = sizes(() => {
    throw new ControlUnavailable('no operator');
  });
  assert.equal(await away.sizeOf(bot, 'resp_1'), null);
});

test('the oldest of too many answers is forgotten', async () => {
  const known = sizes();
  for (let id = 0; id < 5000; id += 1) known.note(bot, `resp_${id}`, id);
  assert.equal(await known.sizeOf(bot, 'resp_0'), null);
  assert.equal(known.sizeOf(bot, 'resp_4999'), 4999);
});
