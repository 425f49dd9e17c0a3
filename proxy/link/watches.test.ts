import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ControlPort } from '../../core/protocol/control.ts';
import type { Push } from '../../core/protocol/snapshot.ts';
import { Watches } from './watches.ts';

interface FakeConnection extends Pick<ControlPort, 'watch'> {
  push(push: Push): void;
  readonly watchers: number;
}

function connection(revision: number): FakeConnection {
  const listeners = new Set<(push: Push) => void>();
  return {
    watch(listener) {
      listeners.add(listener);
      listener(state(revision));
      return () => void listeners.delete(listener);
    },
    push(push) {
      for (const listener of listeners) listener(push);
    },
    get watchers() {
      return listeners.size;
    },
  };
}

function state(revision: number): Push {
  return { kind: 'snapshot', revision, keys: [], pools: [], credentials: [{ pool: 'p/a' as never, name: 'a', value: 'sk' }] };
}

function pushesOf(watches: Watches): readonly string[] {
  const pushes: string[] = [];
  watches.watch((push) => {
    pushes.push(push.kind === 'recall' ? 'recall' : `${push.revision}${push.credentials.length === 0 ? ' empty' : ''}`);
  });
  return pushes;
}

test('a watch made before there is a connection gets the state from the first, and from each later one', () => {
  const watches = new Watches();
  const pushes = pushesOf(watches);
  assert.deepEqual(pushes, []);
  const first = connection(3);
  watches.connect(first);
  first.push({ kind: 'recall', keys: [] });
  watches.disconnect();
  watches.connect(connection(1));
  assert.deepEqual(pushes, ['3', 'recall', '1']);
});

test('a watch that was stopped is stopped on the connection, and not opened on the next', () => {
  const watches = new Watches();
  const first = connection(1);
  watches.connect(first);
  const stop = watches.watch(() => {});
  assert.equal(first.watchers, 1);
  stop();
  assert.equal(first.watchers, 0);
  const next = connection(2);
  watches.disconnect();
  watches.connect(next);
  assert.equal(next.watchers, 0);
});

test('what is held is revoked once, under a revision that shows that there was a state', () => {
  const watches = new Watches();
  const pushes = pushesOf(watches);
  watches.revoke();
  assert.deepEqual(pushes, []);
  watches.connect(connection(7));
  watches.disconnect();
  watches.revoke();
  watches.revoke();
  assert.deepEqual(pushes, ['7', '7 empty']);
});
