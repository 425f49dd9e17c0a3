import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { childKeyName, keyName } from '../names.ts';
import { checkEndpoint, checkKey, sharersOf } from './check.ts';
import type { KeyDocument } from './documents.ts';

const plain: KeyDocument = {
  key: keyName('agents', 'bot'),
  path: [keyName('platform', 'team')],
  owner: {},
  labels: {},
  pools: [],
  models: { allow: [], deny: [], aliases: {} },
  perRequest: {},
  counted: false,
  digest: 'sha256:0',
};

describe('checkKey', () => {
  it('lets a key pass that is neither suspended nor expired', () => {
    assert.equal(checkKey(plain, 5), null);
    assert.equal(checkKey({ ...plain, expiresAtMs: 6 }, 5), null);
  });

  it('refuses from the millisecond of expiry', () => {
    const refusal = checkKey({ ...plain, expiresAtMs: 0 }, 0);
    assert.equal(refusal?.code, 'key_expired');
    assert.equal(refusal?.message, 'key agents/bot expired at 1970-01-01T00:00:00.000Z; ask its owner for a new one');
  });

  it('refuses a suspended key first, and says whose suspension it is', () => {
    const refusal = checkKey({ ...plain, expiresAtMs: 0, suspendedBy: keyName('platform', 'team') }, 5);
    assert.equal(refusal?.code, 'key_revoked');
    assert.equal(
      refusal?.message,
      'key agents/bot is suspended through its ancestor platform/team; its owner can set spec.suspended to false',
    );
    const own = checkKey({ ...plain, suspendedBy: plain.key }, 5);
    assert.equal(own?.message, 'key agents/bot is suspended; its owner can set spec.suspended to false');
  });
});

describe('checkEndpoint', () => {
  it('allows all where nothing is said, else exactly what is listed', () => {
    assert.equal(checkEndpoint(plain, '/v1/responses'), null);
    const listed = { ...plain, endpoints: ['/v1/messages', '/v1/embeddings'] };
    assert.equal(checkEndpoint(listed, '/v1/messages'), null);
    const refusal = checkEndpoint(listed, '/v1/messages/count_tokens');
    assert.equal(refusal?.code, 'endpoint_denied');
    assert.equal(refusal?.message, 'key agents/bot may not call /v1/messages/count_tokens; allowed: /v1/messages, /v1/embeddings');
    assert.equal(checkEndpoint({ ...plain, endpoints: [] }, '/v1/x')?.message, 'key agents/bot may not call /v1/x; none is allowed');
  });
});

describe('sharersOf', () => {
  it('leads from the VirtualKey to the key itself', () => {
    assert.deepEqual(sharersOf(plain), [plain.key]);
    const sub = childKeyName(plain.key, 'sub');
    assert.deepEqual(sharersOf({ ...plain, key: sub, path: [...plain.path, plain.key] }), [plain.key, sub]);
    const deeper = childKeyName(sub, 'deeper');
    assert.deepEqual(sharersOf({ ...plain, key: deeper, path: [...plain.path, plain.key, sub] }), [plain.key, sub, deeper]);
    // A VirtualKey below another one has a share of its own, whatever it is called.
    assert.deepEqual(sharersOf({ ...plain, key: keyName('agents', 'bots'), path: [plain.key] }), [keyName('agents', 'bots')]);
    assert.deepEqual(sharersOf({ ...plain, path: [] }), [plain.key]);
  });
});
