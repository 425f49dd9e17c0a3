import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crashText } from './crash.ts';

test('a crash is logged with its frames and without anything that could be a credential', () => {
  const canary = 'sk-proj-abcdefghijklmnop0123456789';
  const error = Object.assign(new TypeError(`Invalid character in header content ["authorization: Bearer ${canary}"]`), {
    code: 'ERR_INVALID_CHAR',
  });
  const text = crashText(error);
  assert.ok(!text.includes(canary));
  assert.match(text, /^TypeError \[ERR_INVALID_CHAR\]: Invalid character in header content .*\[redacted\]/);
  assert.match(text, /\n\s+at .*crash\.test\.ts/);
  assert.equal(crashText(canary), 'a value that is no error was thrown');
});
