import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { pino } from 'pino';
import { agentPod, injected } from '../inject/pod.fixture.ts';
import type { Pod } from '../inject/types.ts';
import { pods } from '../kube/resources.ts';
import { createFakeKube } from '../reconcile/fake-kube.fixture.ts';
import { watchPods } from './pods.ts';

const named = (pod: Pod, name: string, phase: string): Pod => ({
  ...pod,
  metadata: { ...pod.metadata, name, namespace: 'agents' },
  status: { phase },
});

test('sessions get whole Pods, those without proxy are counted and reported once, and the sweep leaves alone only what lives', async (t) => {
  const fake = createFakeKube();
  const seen: Pod[] = [];
  const gone: string[] = [];
  const notes: string[] = [];
  const swept = Promise.withResolvers<ReadonlySet<string>>();
  const first = fake.put(pods, named(injected(agentPod()), 'good', 'Running'));
  const bare = fake.put(pods, named(agentPod(), 'bare', 'Running'));
  const ended = fake.put(pods, named(injected(agentPod()), 'ended', 'Succeeded'));
  const watch = watchPods({
    client: fake.client,
    sessions: { podChanged: (pod) => void seen.push(pod), podGone: (uid) => void gone.push(uid), instances: () => [] },
    retireAllBut: async (living) => swept.resolve(living),
    events: { emit: ({ reason }) => void notes.push(reason), close: async () => {} },
    leadership: { leads: () => true },
    gateway: null,
    logger: pino({ level: 'silent' }),
  });
  t.after(() => watch.close());
  const living = await swept.promise;
  assert.deepEqual(
    [first, bare, ended].map(({ metadata }) => living.has(metadata.uid ?? '')),
    [true, true, false],
  );
  assert.deepEqual(
    seen.map(({ metadata, ...pod }) => [metadata.name, pod['spec'], metadata.labels]),
    [first, bare, ended].map(({ metadata, ...pod }) => [metadata.name, pod['spec'], metadata.labels]),
  );
  assert.equal(watch.withoutProxy(), 1);
  // The watch begins where the list ended.
  await pause(20);
  fake.put(pods, { ...bare, metadata: { ...bare.metadata, annotations: { ...bare.metadata.annotations, seen: 'again' } } });
  fake.drop(pods, { namespace: 'agents', name: 'bare' });
  for (let tries = 0; gone.length === 0 && tries < 4000; tries += 1) await pause(5);
  assert.deepEqual(gone, [bare.metadata.uid]);
  assert.equal(watch.withoutProxy(), 0);
  assert.deepEqual(notes, ['NotInjected']);
});

test('a Pod that left the watch while the API server was away is looked up when that is back', async (t) => {
  const fake = createFakeKube();
  const gone: string[] = [];
  const { metadata } = fake.put(pods, named(injected(agentPod()), 'good', 'Running'));
  const watch = watchPods({
    client: fake.client,
    sessions: { podChanged: () => {}, podGone: (uid) => void gone.push(uid), instances: () => [metadata.uid ?? ''] },
    retireAllBut: async () => {},
    events: { emit: () => {}, close: async () => {} },
    leadership: { leads: () => true },
    gateway: null,
    logger: pino({ level: 'silent' }),
  });
  t.after(() => watch.close());
  await watch.synced;
  // The watch begins where the list ended.
  await pause(20);
  fake.setAway(true);
  fake.drop(pods, { namespace: 'agents', name: 'good' });
  await pause(50);
  assert.deepEqual(gone, []);
  fake.setAway(false);
  for (let tries = 0; gone.length === 0 && tries < 4000; tries += 1) await pause(5);
  assert.deepEqual(gone, [metadata.uid]);
});

test('a sweep that fails is logged, and ends nothing', async (t) => {
  const lines: string[] = [];
  const watch = watchPods({
    client: createFakeKube().client,
    sessions: { podChanged: () => {}, podGone: () => {}, instances: () => [] },
    retireAllBut: () => Promise.reject(new Error('disk full')),
    events: { emit: () => {}, close: async () => {} },
    leadership: { leads: () => true },
    gateway: null,
    logger: pino({ level: 'error' }, { write: (line: string) => void lines.push(line) }),
  });
  t.after(() => watch.close());
  for (let tries = 0; lines.length === 0 && tries < 4000; tries += 1) await pause(5);
  assert.match(lines.join(''), /disk full/);
});
