import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { type Account, nothing } from '../../core/budget/account.ts';
import type { BookedGrant } from '../../core/budget/ledger.ts';
import { type GrantId, keyName, streamId, type TokenId } from '../../core/names.ts';
import type { ClockJump } from './clock.ts';
import type { EntryRow, EpochRow, Store } from './types.ts';

/** Opens the store of a place; the same place again opens the same store. */
type OpenStore = (place: string, options: { readonly clock: () => number; readonly onClockJump?: (jump: ClockJump) => void }) => Store;

const key = keyName('agents', 'bot');
const other = keyName('agents', 'other');
const stream = streamId(keyName('agents', 'bot'), 'pod-1');
const start = Date.UTC(2026, 10, 21);

/** The tests that every store must pass. */
export function storeConformance(name: string, open: OpenStore): void {
  const withStore = (title: string, body: (store: Store, place: string) => void): void => {
    test(`${name}: ${title}`, () => {
      const place = title.replaceAll(/\W+/g, '-');
      const store = open(place, { clock: () => start });
      try {
        body(store, place);
      } finally {
        store.close();
      }
    });
  };
  transactions(withStore, open);
  replicas(name, open);
  clocks(name, open);
  ages(name, open);
  keys(withStore);
  prices(withStore);
  streams(withStore);
  accounts(withStore);
  grants(withStore);
}

type WithStore = (title: string, body: (store: Store, place: string) => void) => void;

function transactions(withStore: WithStore, open: OpenStore): void {
  withStore('a transaction that throws leaves no trace', (store) => {
    const failing = (): never =>
      store.transaction((tx) => {
        tx.keys.putCreatedAt(key, 1);
        throw new Error('no');
      });
    assert.throws(failing, /no/);
    assert.equal(
      store.transaction((tx) => tx.keys.createdAt(key)),
      null,
    );
  });

  withStore('a transaction sees its own writes and returns what its work returns', (store) => {
    const seen = store.transaction((tx) => {
      tx.keys.putCreatedAt(key, 7);
      return tx.keys.createdAt(key);
    });
    assert.equal(seen, 7);
  });

  withStore('transactions do not nest, and their work may not be asynchronous', (store) => {
    assert.throws(() => store.transaction(() => store.transaction(() => 1)), /nest/);
    assert.throws(() => store.transaction(() => Promise.resolve(1)), /asynchronous/);
    assert.equal(
      store.transaction(() => 1),
      1,
    );
  });

  withStore('what was written and the incarnation are there after reopening', (store, place) => {
    const incarnation = store.transaction((tx) => {
      tx.keys.putCreatedAt(key, 7);
      return tx.incarnation;
    });
    assert.match(incarnation, /^[0-9a-f]{12}$/);
    store.close();
    const again = open(place, { clock: () => start });
    assert.equal(
      again.transaction((tx) => tx.keys.createdAt(key)),
      7,
    );
    assert.equal(
      again.transaction((tx) => tx.incarnation),
      incarnation,
    );
    again.close();
    const elsewhere = open(`${place}-2`, { clock: () => start });
    assert.notEqual(
      elsewhere.transaction((tx) => tx.incarnation),
      incarnation,
    );
    elsewhere.close();
  });
}

function replicas(name: string, open: OpenStore): void {
  test(`${name}: another process that writes is noticed, and so is whether it wrote of keys`, async () => {
    const [ours, theirs] = [open('replicas', { clock: () => start }), open('replicas', { clock: () => start })];
    const revision = (): number => ours.transaction((tx) => tx.keys.revision());
    let calls = 0;
    // The second call is a failure.
    ours.onForeignWrite(() => {
      calls += 1;
      return calls !== 2;
    });
    const called = async (times: number): Promise<void> => {
      for (const endMs = performance.now() + 10_000; calls < times && performance.now() < endMs; ) await pause(5);
      assert.equal(calls, times);
    };
    const first = revision();
    ours.transaction((tx) => tx.keys.putCreatedAt(key, 1));
    const second = revision();
    assert.ok(second > first);
    theirs.transaction((tx) => tx.ledger.putAccount({ id: 'a', key, window: 'Day', startMs: 0, account: accountWith(0) }));
    await called(1);
    assert.equal(revision(), second);
    theirs.transaction((tx) => tx.keys.forget(key));
    await called(3);
    assert.ok(revision() > second);
    ours.close();
    theirs.close();
  });
}

function clocks(name: string, open: OpenStore): void {
  test(`${name}: the clock never goes back, not over a restart either, and jumps are reported`, () => {
    const jumps: ClockJump[] = [];
    let machine = start;
    const options = { clock: () => machine, onClockJump: (jump: ClockJump) => jumps.push(jump) };
    const touch = (store: Store): number =>
      store.transaction((tx) => {
        tx.keys.putCreatedAt(key, machine);
        return tx.now();
      });
    const first = open('clock', options);
    assert.equal(touch(first), start);
    machine = start + 5000;
    assert.equal(touch(first), start + 5000);
    machine = start;
    assert.equal(touch(first), start + 5000);
    first.close();

    const second = open('clock', options);
    assert.equal(touch(second), start + 5000);
    assert.deepEqual(jumps, []);
    machine = start - 3_600_000;
    touch(second);
    touch(second);
    assert.deepEqual(jumps, [{ fromMs: start + 5000, toMs: machine }]);
    machine = start + 3 * 86_400_000;
    assert.equal(touch(second), machine);
    assert.deepEqual(jumps.slice(1), [{ fromMs: start + 5000, toMs: machine }]);
    second.close();
  });

  test(`${name}: time does not advance within a transaction`, () => {
    let machine = start;
    const store = open('still', { clock: () => (machine += 10) });
    store.transaction((tx) => assert.equal(tx.now(), tx.now()));
    store.close();
  });
}

function prices(withStore: WithStore): void {
  withStore('the prices of each provider are kept, and a write counts as a change of what documents are made of', (store) => {
    store.transaction(({ keys: rows, prices: states }) => {
      assert.equal(states.state('OpenAI'), null);
      const before = rows.revision();
      states.putState('OpenAI', '{}');
      states.putState('Gemini', '{"m":1}');
      states.putState('OpenAI', '{"m":2}');
      assert.deepEqual([states.state('OpenAI'), states.state('Gemini')], ['{"m":2}', '{"m":1}']);
      assert.ok(rows.revision() > before);
    });
  });
}

function keys(withStore: WithStore): void {
  withStore('a forgotten key loses its birth and its tokens, and no other key does', (store) => {
    store.transaction(({ keys: rows }) => {
      const sealed = Buffer.from('sealed');
      const token = { id: 'aa' as TokenId, key, hint: 'vk_…1', createdAtMs: 1, validUntilMs: 9, sealed };
      const kept = { id: 'bb' as TokenId, key: other, hint: 'vk_…2', createdAtMs: 2, sealed };
      rows.putCreatedAt(key, 1, 'uid-1');
      rows.putCreatedAt(key, 1);
      rows.putCreatedAt(other, 2);
      assert.deepEqual([rows.uid(key), rows.uid(other)], ['uid-1', null]);
      rows.putToken(token);
      rows.putToken(kept);
      assert.deepEqual(rows.names(), [key, other]);
      assert.deepEqual(rows.tokens(key), [token]);
      rows.forget(key);
      assert.deepEqual([rows.createdAt(key), rows.uid(key)], [null, null]);
      assert.deepEqual(rows.names(), [other]);
      assert.deepEqual(rows.tokens(key), []);
      assert.deepEqual(rows.tokens(other), [kept]);
      rows.putToken({ ...kept, validUntilMs: 5 });
      assert.deepEqual(rows.tokens(other), [{ ...kept, validUntilMs: 5 }]);
      rows.dropToken(kept.id);
      assert.deepEqual(rows.tokens(other), []);
    });
  });

  withStore('sub-agent keys are kept until dropped', (store) => {
    store.transaction(({ keys: rows }) => {
      const child = { key: other, parent: key, spec: {}, createdAtMs: 1, expiresAtMs: 5, run: 'Pod a' };
      rows.putChild(child);
      rows.putChild({ ...child, spec: { usdNano: 1 } });
      assert.deepEqual(rows.children(), [{ ...child, spec: { usdNano: 1 } }]);
      rows.dropChild(other);
      assert.deepEqual(rows.children(), []);
    });
  });
}

const epochRow: EpochRow = {
  ...{ stream, key, instance: 'pod-1', epoch: 1, nonce: '00', state: 'open', lastSeq: -1 },
  ...{ lastMac: '0'.repeat(64), sealedKey: 'ff' },
};

function entryRow(seq: number): EntryRow {
  const bytes = {
    previousMac: Buffer.alloc(32, seq),
    mac: Buffer.alloc(32, seq + 1),
    salt: Buffer.alloc(16, 3),
    body: Buffer.from('{"é":1}'),
  };
  return { stream, epoch: 1, seq, key, type: 'call', ...bytes };
}

function ages(name: string, open: OpenStore): void {
  test(`${name}: an epoch is as old as its first row, by the store’s clock`, () => {
    let nowMs = start;
    const store = open('ages', { clock: () => nowMs });
    store.transaction((tx) => tx.streams.putEpoch(epochRow));
    nowMs += 1000;
    store.transaction((tx) => tx.streams.putEpoch({ ...epochRow, lastSeq: 4 }));
    const unsettled = store.transaction((tx) => tx.streams.unsettledEpochs());
    assert.deepEqual(unsettled, [{ ...epochRow, lastSeq: 4, openedAtMs: start }]);
    store.close();
  });
}

function streams(withStore: WithStore): void {
  withStore('epochs are kept by stream and number, the last one found', (store) => {
    store.transaction(({ streams: rows }) => {
      assert.equal(rows.lastEpoch(stream), null);
      rows.putEpoch(epochRow);
      rows.putEpoch({ ...epochRow, epoch: 12 });
      rows.putEpoch({ ...epochRow, state: 'closed', lastSeq: 4 });
      assert.deepEqual(rows.epoch(stream, 1), { ...epochRow, state: 'closed', lastSeq: 4 });
      assert.equal(rows.epoch(stream, 2), null);
      assert.equal(rows.lastEpoch(stream)?.epoch, 12);
      assert.deepEqual(
        rows.epochs().map(({ epoch }) => epoch),
        [1, 12],
      );
    });
  });

  withStore('an entry is stored once, byte for byte, and the same again is an error that undoes its transaction', (store) => {
    store.transaction(({ streams: rows }) => rows.addEntry(entryRow(0)));
    const twice = (): void =>
      store.transaction((tx) => {
        tx.keys.putCreatedAt(key, 1);
        tx.streams.addEntry(entryRow(0));
      });
    assert.throws(twice);
    store.transaction((tx) => {
      assert.equal(tx.keys.createdAt(key), null);
      assert.deepEqual(tx.streams.entry(stream, 1, 0), entryRow(0));
      assert.equal(tx.streams.entry(stream, 1, 1), null);
    });
  });

  withStore('estimated calls and recoveries are found by key, and credits, in storing order', (store) => {
    store.transaction(({ streams: rows }) => {
      const add = (seq: number, type: string, body: object, of = key): void =>
        rows.addEntry({ ...entryRow(seq), key: of, type, body: Buffer.from(JSON.stringify(body)) });
      add(0, 'call', { estimated: false, labels: { note: '"estimated":true' } });
      add(1, 'call', { estimated: true, v: 1 });
      add(2, 'call', { estimated: true, v: 1 }, other);
      add(3, 'epoch_recovered', {});
      add(4, 'credited', {});
      add(5, 'heartbeat', {});
      add(6, 'credited', {});
      add(7, 'call', { estimated: true, v: 1 });
      add(8, 'call', { estimated: true, v: 1 });
      const found = [rows.estimates(key, 9), rows.estimates(key, 2), rows.recoveries(key), rows.credits()];
      const seqs = found.map((entries) => entries.map(({ seq }) => seq));
      assert.deepEqual(seqs, [[1, 7, 8], [7, 8], [3], [4, 6]]);
    });
  });

  withStore('the newest call of a key is found by the id of its answer', (store) => {
    store.transaction(({ streams: rows }) => {
      const add = (seq: number, body: object, of = key): void =>
        rows.addEntry({ ...entryRow(seq), key: of, type: 'call', body: Buffer.from(JSON.stringify(body)) });
      add(0, { answerSha256: 'aa' });
      add(1, { labels: { note: '"answerSha256":"bb"' } });
      add(2, { answerSha256: 'aa' });
      add(3, { answerSha256: 'aa' }, other);
      add(4, { labels: { answerSha256: 'bb' } });
      assert.equal(rows.answer(key, 'aa')?.seq, 2);
      assert.equal(rows.answer(other, 'aa')?.seq, 3);
      assert.equal(rows.answer(key, 'bb'), null);
    });
  });

  withStore('entries are read in storing order from any position', (store) => {
    store.transaction(({ streams: rows }) => {
      for (const seq of [0, 1, 2]) rows.addEntry(entryRow(seq));
      const [first, second] = rows.entries(0, 2);
      assert.deepEqual([first?.seq, second?.seq], [0, 1]);
      assert.deepEqual(
        rows.entries(second?.position ?? -1, 10).map(({ seq }) => seq),
        [2],
      );
    });
  });
}

function accounts(withStore: WithStore): void {
  withStore('accounts are found by id, by key, and the newest of a window', (store) => {
    store.transaction(({ ledger }) => {
      const day = (startMs: number, holders: number) => ({
        id: `${key}|Day|${startMs}`,
        key,
        window: 'Day',
        startMs,
        account: accountWith(holders),
      });
      ledger.putAccount(day(2000, 2));
      ledger.putAccount(day(1000, 1));
      ledger.putAccount({ id: 'total', key, window: 'Total', startMs: 0, account: accountWith(3) });
      ledger.putAccount(day(1000, 4));
      assert.deepEqual(ledger.account(day(1000, 0).id)?.account, accountWith(4));
      assert.equal(ledger.account('none'), null);
      assert.deepEqual(ledger.newestAccount(key, 'Day'), day(2000, 2));
      assert.equal(ledger.newestAccount(other, 'Day'), null);
      ledger.putAccount({ id: 'minute', key, window: 'Minute', startMs: 2000, account: accountWith(5) });
      const since = (atMs: number) => ledger.accountsSince(atMs).map(({ window, startMs, account }) => [window, startMs, account.holders]);
      assert.deepEqual(since(1000), [
        ['Day', 1000, 4],
        ['Day', 2000, 2],
        ['Total', 0, 3],
      ]);
      assert.deepEqual(since(1001), [
        ['Day', 2000, 2],
        ['Total', 0, 3],
      ]);
    });
  });
}

function accountWith(holders: number): Account {
  return { settled: { nano: 1, requests: 2, tokens: 3 }, burned: nothing, outstanding: nothing, holders, tokensPerMinute: 5 };
}

function grantRow(id: string, more: Partial<BookedGrant> = {}): BookedGrant {
  return {
    id: id as GrantId,
    askId: `ask-${id}`,
    key,
    stream,
    epoch: 1,
    open: true,
    accounts: ['total', 'day'],
    amount: { nano: 9, requests: 8 },
    settled: nothing,
    burned: nothing,
    ...more,
  };
}

function grants(withStore: WithStore): void {
  withStore('open grants are found by idempotency key, stream and account until they close', (store) => {
    store.transaction(({ ledger }) => {
      ledger.putGrant(grantRow('a'));
      ledger.putGrant(grantRow('b', { epoch: 2, accounts: ['total'] }));
      const changed = grantRow('a', { settled: { nano: 1, requests: 2, tokens: 3 }, endMs: 7, escrow: grantRow('e').id, recovered: true });
      ledger.putGrant(changed);
      assert.deepEqual(ledger.grant('a'), changed);
      assert.equal(ledger.grantByAsk('ask-b')?.id, 'b');
      assert.equal(ledger.grantByAsk('ask-c'), null);
      assert.deepEqual(ids(ledger.openGrants(stream, 1)), ['a']);
      assert.deepEqual(ids(ledger.holders('total')), ['a', 'b']);
      ledger.putGrant(grantRow('c'));
      assert.deepEqual(ledger.openEpochs(stream), [
        { epoch: 1, grants: 2 },
        { epoch: 2, grants: 1 },
      ]);
      ledger.putGrant(grantRow('c', { open: false }));
      ledger.putGrant(grantRow('a', { open: false }));
      assert.deepEqual(ledger.closedGrants(key), [
        { ...grantRow('a', { open: false }), closedAtMs: start },
        { ...grantRow('c', { open: false }), closedAtMs: start },
      ]);
      assert.deepEqual(ids(ledger.openGrants(stream, 1)), []);
      assert.deepEqual(ids(ledger.holders('total')), ['b']);
      assert.deepEqual(ids(ledger.holders('day')), []);
      assert.deepEqual(ledger.openEpochs(stream), [{ epoch: 2, grants: 1 }]);
      assert.equal(ledger.grant('a')?.open, false);
    });
  });

  withStore('one idempotency key cannot have two grants', (store) => {
    const twice = (): void =>
      store.transaction(({ ledger }) => {
        ledger.putGrant(grantRow('a'));
        ledger.putGrant(grantRow('b', { askId: 'ask-a' }));
      });
    assert.throws(twice);
  });

  withStore('pruning takes closed grants and old minutes, but no open grant, no newest minute and no other account', (store) => {
    store.transaction(({ ledger }) => {
      ledger.putGrant(grantRow('open'));
      ledger.putGrant(grantRow('closed'));
      ledger.putGrant(grantRow('closed', { open: false }));
      const row = (window: string, startMs: number) => ({ id: `${window}${startMs}`, key, window, startMs, account: accountWith(0) });
      for (const account of [row('Minute', 0), row('Minute', 60_000), row('Day', 0)]) ledger.putAccount(account);
      ledger.prune(start);
      assert.notEqual(ledger.grant('closed'), null);
      ledger.prune(start + 1);
      assert.equal(ledger.grant('closed'), null);
      assert.notEqual(ledger.grant('open'), null);
      const left = ['Minute0', 'Minute60000', 'Day0'].filter((id) => ledger.account(id) !== null);
      assert.deepEqual(left, ['Minute60000', 'Day0']);
    });
  });
}

function ids(rows: readonly BookedGrant[]): readonly string[] {
  return rows.map(({ id }) => id);
}
