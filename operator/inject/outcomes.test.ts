import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import type { EventFacts } from '../kube/events.ts';
import { createOutcomes } from './outcomes.ts';
import { because } from './reasons.ts';
import type { Injection } from './types.ts';

const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'agent-5d8f', uid: 'uid-1' };
const refused: Injection = { kind: 'refuse', ...because('HostPID', '/spec/hostPID: set hostPID: false') };
const warned: Injection = {
  kind: 'patch',
  patch: [],
  warnings: [
    because('EnvironmentSet', 'container a'),
    because('EnvironmentSet', 'container b'),
    because('EnvironmentUnseen', 'container a'),
  ],
};

function world() {
  let nowMs = 0;
  const counts: string[] = [];
  const lines: Record<string, unknown>[] = [];
  const events: EventFacts[] = [];
  const onOutcome = createOutcomes({
    metrics: {
      countInjection: (outcome, reason) => void counts.push(`${outcome} ${reason}`),
      countWarning: (reason) => void counts.push(`warning ${reason}`),
    },
    events: { emit: (event) => void events.push(event) },
    clock: () => nowMs,
    logger: pino({ base: null, timestamp: false }, { write: (line: string) => void lines.push(JSON.parse(line)) }),
  });
  function pass(ms: number): void {
    nowMs += ms;
  }
  return { counts, lines, events, onOutcome, pass };
}

test('a refusal is counted, logged, and an event about the Pod’s controller reports it', () => {
  const { counts, lines, events, onOutcome } = world();
  onOutcome('agents', 'agent-*', refused, owner);
  assert.deepEqual(counts, ['refuse HostPID']);
  assert.deepEqual(lines, [
    { level: 30, namespace: 'agents', pod: 'agent-*', outcome: 'refuse', reason: 'HostPID', warnings: [], msg: 'reviewed a Pod' },
  ]);
  const note = 'its Pod was refused: The Pod could read the proxy’s memory.';
  assert.deepEqual(events, [
    {
      regarding: { apiVersion: 'apps/v1', kind: 'ReplicaSet', metadata: { namespace: 'agents', name: 'agent-5d8f', uid: 'uid-1' } },
      type: 'Warning',
      reason: 'HostPID',
      note,
      action: 'Inject',
    },
  ]);
});

test('each reason to warn is counted, logged and reported in an event once a Pod, and never in words of the Pod', () => {
  const { counts, lines, events, onOutcome } = world();
  onOutcome('agents', 'agent-*', warned, owner);
  assert.deepEqual(counts, ['patch Injected', 'warning EnvironmentSet', 'warning EnvironmentUnseen']);
  assert.deepEqual(lines[0]?.['warnings'], ['EnvironmentSet', 'EnvironmentUnseen']);
  assert.deepEqual(
    events.map(({ reason }) => reason),
    ['EnvironmentSet', 'EnvironmentUnseen'],
  );
  assert.ok(!JSON.stringify(events).includes('container a'));
});

test('what needs no proxy is counted alone, and without an owner there is nothing to write an event about', () => {
  const { counts, lines, events, onOutcome } = world();
  onOutcome('agents', 'web', { kind: 'skip', ...because('NotOptedIn', 'no label') }, owner);
  onOutcome('agents', 'agent', refused, null);
  assert.deepEqual([counts, lines.length, events], [['skip NotOptedIn', 'refuse HostPID'], 1, []]);
});

test('events are bounded in all, whatever they are about, and more are allowed with time', () => {
  const { events, onOutcome, pass } = world();
  for (let i = 0; i < 1_000; i += 1) onOutcome(`agents-${i}`, 'agent', refused, { ...owner, uid: `uid-${i}` });
  assert.equal(events.length, 20);
  pass(6_000);
  for (let i = 0; i < 10; i += 1) onOutcome('agents', 'agent', refused, owner);
  assert.equal(events.length, 22);
});
