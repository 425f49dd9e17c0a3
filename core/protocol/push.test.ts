import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PoolName } from '../names.ts';
import type { PoolDocument } from '../policy/documents.ts';
import { pushReader, pushWriter, type SentPush } from './push.ts';
import type { Snapshot } from './snapshot.ts';

function pool(name: string, priceBookDigest: string): PoolDocument {
  const book = [{ id: priceBookDigest }] as unknown as PoolDocument['book'];
  return {
    pool: `p/${name}` as PoolName,
    provider: 'OpenAI',
    endpoint: 'https://x',
    keys: [],
    models: [],
    freeFields: [],
    learned: {},
    book,
    priceBookDigest,
  };
}

function snapshot(revision: number, ...pools: readonly PoolDocument[]): Snapshot {
  return { kind: 'snapshot', revision, keys: [], pools, credentials: [] };
}

const parsed = (text: string): SentPush => JSON.parse(text) as SentPush;

test('every snapshot arrives whole, and each price book travels once', () => {
  const [write, read] = [pushWriter(), pushReader()];
  const booksSent: number[] = [];
  for (const push of [
    snapshot(1, pool('a', 'one'), pool('b', 'one')),
    snapshot(2, pool('a', 'one'), pool('b', 'two')),
    snapshot(3),
    snapshot(4, pool('b', 'two'), pool('a', 'one')),
    snapshot(5, pool('a', 'two'), pool('b', 'one')),
  ]) {
    const sent = parsed(write(push));
    booksSent.push(sent.kind === 'snapshot' ? sent.pools.filter((each) => 'book' in each).length : 0);
    assert.deepEqual(read(sent), push);
  }
  assert.deepEqual(booksSent, [2, 1, 0, 0, 2]);
});

test('another watch gets the prices again', () => {
  const push = snapshot(1, pool('a', 'one'));
  const write = pushWriter();
  assert.deepEqual(parsed(write(push)), push);
  const second = parsed(write(push));
  assert.throws(() => pushReader()(second), /the prices of p\/a/);
  assert.deepEqual(parsed(pushWriter()(push)), push);
});

test('a recall passes as it is', () => {
  const recall = { kind: 'recall', keys: [] } as const;
  assert.deepEqual(pushReader()(parsed(pushWriter()(recall))), recall);
});
