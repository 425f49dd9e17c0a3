import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { pino } from 'pino';
import { connectKube } from './client.ts';
import { createEvents, type Events } from './events.ts';
import { type FakeApi, startFakeApi } from './fake-api.fixture.ts';
import { events as eventsKind } from './resources.ts';
import type { KubeClient, KubeObject } from './types.ts';

const logger = pino({ level: 'silent' });
const key = (name: string): KubeObject => ({
  apiVersion: 'keyforge.dev/v1alpha1',
  kind: 'VirtualKey',
  metadata: { name, namespace: 'agents', uid: `uid-${name}` },
});

describe('events', () => {
  let api: FakeApi;
  let client: KubeClient;
  let events: Events;
  let nowMs: number;

  beforeEach(async () => {
    api = await startFakeApi();
    client = connectKube({ kubeconfig: api.kubeconfig, logger });
    nowMs = Date.UTC(2026, 0, 1);
    events = createEvents({ client, component: 'keyforge.dev/operator', instance: 'operator-0', clock: () => nowMs, logger });
  });
  afterEach(async () => {
    await events.close();
    await client.close();
    await api.close();
  });
  const written = async () => (await client.list(eventsKind, {})).items;
  const writes = () => api.requests.filter(({ method }) => method !== 'GET').length;

  test('is written beside the object that it is about', async () => {
    events.emit({ regarding: key('a'), type: 'Warning', reason: 'SecretRefused', note: 'Secret a is not ours', action: 'WriteSecret' });
    await events.close();
    const [event] = await written();
    assert.equal(event?.metadata.namespace, 'agents');
    assert.equal(event?.['eventTime'], '2026-01-01T00:00:00.000000Z');
    assert.deepEqual(event?.['regarding'], {
      apiVersion: 'keyforge.dev/v1alpha1',
      kind: 'VirtualKey',
      namespace: 'agents',
      name: 'a',
      uid: 'uid-a',
    });
    assert.deepEqual([event?.['reason'], event?.['action'], event?.['type']], ['SecretRefused', 'WriteSecret', 'Warning']);
  });

  test('the same again is counted in one Event, written at most once a minute', async () => {
    for (let i = 0; i < 200; i += 1) {
      events.emit({ regarding: key('a'), type: 'Warning', reason: 'R', note: 'the same', action: 'A' });
      nowMs += 1_000;
    }
    await events.close();
    assert.equal(writes(), 1 + 3);
    const all = await written();
    assert.equal(all.length, 1);
    assert.equal((all[0]?.['series'] as { count: number } | undefined)?.count, 181);
  });

  test('a repetition after six minutes is a new Event', async () => {
    events.emit({ regarding: key('a'), type: 'Normal', reason: 'R', note: 'n', action: 'A' });
    nowMs += 361_000;
    events.emit({ regarding: key('a'), type: 'Normal', reason: 'R', note: 'n', action: 'A' });
    await events.close();
    assert.equal((await written()).length, 2);
  });

  test('one object that has much to say is cut short, others are heard', async () => {
    for (let i = 0; i < 50; i += 1) events.emit({ regarding: key('loud'), type: 'Warning', reason: 'R', note: `note ${i}`, action: 'A' });
    events.emit({ regarding: key('quiet'), type: 'Normal', reason: 'R', note: 'n', action: 'A' });
    await events.close();
    const names = (await written()).map((event) => (event['regarding'] as { name: string }).name);
    assert.equal(names.filter((name) => name === 'loud').length, 10);
    assert.ok(names.includes('quiet'));
  });

  test('an API server that is down costs nothing but the events', async () => {
    api.fault = () => 'reset';
    for (let i = 0; i < 5_000; i += 1)
      events.emit({ regarding: key(`k${i}`), type: 'Warning', reason: 'R', note: 'n'.repeat(5_000), action: 'A' });
    await events.close();
    assert.equal(writes(), 100);
  });

  test('never throws, for any input', () => {
    events.emit({ regarding: {} as KubeObject, type: 'Normal', reason: 'R', note: 'n', action: 'A' });
  });
});
