import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { createFixedHmac } from './hmac.ts';

const bytes = (size: number): fc.Arbitrary<Buffer> => fc.uint8Array({ minLength: size, maxLength: size }).map((all) => Buffer.from(all));

test('any message under any 32-byte key has the MAC that node computes', () => {
  fc.assert(
    fc.property(bytes(32), fc.uint8Array({ maxLength: 300 }), (key, message) => {
      const hmac = createFixedHmac(message.length);
      hmac.message.set(message);
      const expected = createHmac('sha256', key).update(message).digest();
      assert.deepEqual(hmac.digest(key), expected);
      assert.deepEqual(hmac.secretDigest(key), expected);
      assert.deepEqual(hmac.digest(key), expected, 'used twice');
    }),
  );
});

test('a key of another length is refused', () => {
  assert.throws(() => createFixedHmac(1).digest(Buffer.alloc(31)), RangeError);
});
