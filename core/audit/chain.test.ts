import assert from 'node:assert/strict';
import { createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { keyName, streamId } from '../names.ts';
import { createChain } from './chain.ts';
import { deriveEpochKey } from './entry.ts';
import { pooledRandom } from './random-pool.ts';
import type { HeartbeatBody } from './types.ts';

const stream = streamId(keyName('agents', 'bot'), 'i-1');
const body: HeartbeatBody = { v: 1, type: 'heartbeat', time: '2026-11-20T10:00:00.000Z', key: keyName('agents', 'bot') };
const root = Buffer.alloc(32, 7);
const nonce = '00112233445566778899aabbccddeeff';

function lengthPrefixed(...fields: readonly Buffer[]): Buffer {
  return Buffer.concat(
    fields.flatMap((field) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(field.length);
      return [length, field];
    }),
  );
}

function number64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

test('MACs and ratchet equal those of plain HMAC, HKDF and SHA-256', () => {
  let key = Buffer.from(hkdfSync('sha256', root, Buffer.from(nonce, 'hex'), `keyforge/audit/v1|${stream}|3`, 32));
  let previous = Buffer.alloc(32);
  const chain = createChain({ stream, epoch: 3, key: deriveEpochKey(root, nonce, stream, 3) });
  for (let seq = 0; seq < 3; seq += 1) {
    const entry = chain.append(body, randomBytes);
    const commitment = createHash('sha256').update(entry.salt).update(entry.body).digest();
    const input = lengthPrefixed(Buffer.from('keyforge/audit/v1'), Buffer.from(stream), number64(3), number64(seq), previous, commitment);
    assert.deepEqual(entry.mac, createHmac('sha256', key).update(input).digest());
    assert.deepEqual(entry.previousMac, previous);
    assert.equal(entry.body.toString(), '{"key":"agents/bot","time":"2026-11-20T10:00:00.000Z","type":"heartbeat","v":1}');
    previous = entry.mac;
    key = createHmac('sha256', key).update('ratchet').digest();
  }
  assert.equal(chain.head(), 2);
  assert.deepEqual(chain.lastMac(), previous);
  assert.deepEqual(chain.key(), key);
});

test('a fixed root, nonce and salt give a published first MAC', () => {
  const chain = createChain({ stream, epoch: 1, key: deriveEpochKey(root, nonce, stream, 1) });
  const entry = chain.append(body, (size) => Buffer.alloc(size, 1));
  assert.equal(entry.mac.toString('hex'), '42b0fc2534d8355c1b6c25dc25ad48bf42b38334cad93b6520287e2d73ac3afb');
});

test('a used key is overwritten, the first one included', () => {
  const first = deriveEpochKey(root, nonce, stream, 1);
  const chain = createChain({ stream, epoch: 1, key: first });
  chain.append(body, randomBytes);
  assert.deepEqual(first, Buffer.alloc(32));
  const second = chain.key();
  chain.append(body, randomBytes);
  assert.deepEqual(second, Buffer.alloc(32));
});

test('where storing throws, the chain has not moved', () => {
  const chain = createChain({ stream, epoch: 1, key: deriveEpochKey(root, nonce, stream, 1) });
  const full = new Error('full');
  assert.throws(() => {
    chain.append(body, randomBytes, () => {
      throw full;
    });
  }, full);
  assert.equal(chain.head(), -1);
  assert.equal(chain.append(body, randomBytes).seq, 0);
});

test('pooled random bytes are handed out once and refilled', () => {
  let draws = 0;
  const random = pooledRandom((size) => {
    draws += 1;
    return randomBytes(size);
  });
  const seen = new Set<string>();
  for (let i = 0; i < 1000; i += 1) seen.add(Buffer.from(random(16)).toString('hex'));
  assert.equal(seen.size, 1000);
  assert.equal(draws, 2);
  assert.equal(random(20_000).length, 20_000);
});
