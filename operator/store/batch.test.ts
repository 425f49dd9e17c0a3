import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KeyName } from '../../core/names.ts';
import { createBatch } from './batch.ts';
import { openSqliteStore } from './sqlite.ts';
import type { Store } from './types.ts';

function counted(): { readonly store: Pick<Store, 'transaction' | 'close'>; transactions(): number } {
  const store = openSqliteStore({ path: ':memory:', clock: () => 1 });
  let transactions = 0;
  return {
    transactions: () => transactions,
    store: {
      close: () => store.close(),
      transaction(work) {
        transactions += 1;
        return store.transaction(work);
      },
    },
  };
}

test('what waits together shares one transaction, in order', async () => {
  const { store, transactions } = counted();
  const batch = createBatch(store);
  const order: number[] = [];
  const values = await Promise.all(Array.from({ length: 10 }, (_, index) => batch.run(() => order.push(index) - 1)));
  assert.deepEqual(values, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.deepEqual(order, values);
  assert.equal(transactions(), 1);
  store.close();
});

test('a piece that throws fails alone: the others are done, and nothing of it stays', async () => {
  const { store } = counted();
  const batch = createBatch(store);
  const put = (name: string, fails: boolean) =>
    batch.run((tx) => {
      tx.keys.putCreatedAt(name as KeyName, 1);
      if (fails) throw new Error(name);
      return name;
    });
  const results = await Promise.allSettled([put('a/good', false), put('a/bad', true), put('a/fine', false)]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  assert.deepEqual(
    store.transaction((tx) => tx.keys.names()),
    ['a/fine', 'a/good'],
  );
  store.close();
});
