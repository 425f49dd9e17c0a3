import assert from 'node:assert/strict';
import { test } from 'node:test';
import { format, inspect } from 'node:util';
import { Secret } from './secret.ts';

test('a secret shows itself to reveal alone', () => {
  const secret = new Secret('sk-canary');
  assert.equal(secret.reveal(), 'sk-canary');
  assert.ok(secret.holds('sk-canary') && !secret.holds('sk-canary2'));
  const printed = [
    String(secret),
    `${secret}`,
    JSON.stringify({ secret }),
    inspect(secret, { showHidden: true, depth: 9 }),
    inspect({ deep: { secret } }),
    format('%s %o %O %j', secret, secret, secret, secret),
    JSON.stringify(Object.entries(secret)),
    JSON.stringify(structuredClone({ ...secret })),
  ].join(' ');
  assert.ok(!printed.includes('canary'), printed);
  assert.equal(String(secret), '[redacted]');
  assert.equal(inspect(secret), '[redacted]');
});
