import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { pino } from 'pino';
import { connectKube } from './client.ts';
import { createElector, type Elector, type ElectorOptions } from './elector.ts';
import { type FakeApi, startFakeApi } from './fake-api.fixture.ts';
import { leases } from './resources.ts';
import type { KubeClient } from './types.ts';
import { sleep, until } from './until.fixture.ts';

const logger = pino({ level: 'silent' });
const at = { namespace: 'keyforge-system', name: 'keyforge-operator' };
const timings = { leaseMs: 2_000, renewDeadlineMs: 1_400, retryMs: 50, requestTimeoutMs: 400 };
/** Timings that never expire within a test. */
const patient = { leaseMs: 120_000, renewDeadlineMs: 60_000, retryMs: 50, requestTimeoutMs: 10_000 };

describe('the elector', () => {
  let api: FakeApi;
  let opened: { close(): Promise<void> }[];
  let log: string[];

  beforeEach(async () => {
    api = await startFakeApi();
    opened = [];
    log = [];
  });
  afterEach(async () => {
    await Promise.all(opened.map((each) => each.close()));
    await api.close();
  });

  /** Each has a client of its own, so that one can be cut off alone. */
  function candidate(identity: string, more: Partial<ElectorOptions> = {}): { readonly elector: Elector; readonly link: Link } {
    const link: Link = { cut: false };
    const direct = connectKube({ kubeconfig: api.kubeconfig, logger, timeoutMs: 5_000 });
    const client = through(direct, link);
    const onStarted = () => void log.push(`${identity} leads`);
    const onStopped = () => log.push(`${identity} stopped`);
    const elector = createElector({ client, ...at, identity, ...timings, onStarted, onStopped, logger, clock: Date.now, ...more });
    opened.push({ close: () => elector.close().then(() => direct.close()) });
    elector.start();
    return { elector, link };
  }
  const spec = async () => {
    const client = connectKube({ kubeconfig: api.kubeconfig, logger });
    const lease = await client.get(leases, at);
    await client.close();
    return lease?.['spec'] as Record<string, unknown>;
  };

  test('refuses timings by which two could lead', () => {
    const options = { client: {} as KubeClient, ...at, identity: 'a', onStarted: () => {}, onStopped: () => {}, logger, clock: Date.now };
    createElector(options); // the defaults
    assert.throws(() => createElector({ ...options, renewDeadlineMs: 12_000 }), RangeError);
    assert.throws(() => createElector({ ...options, leaseMs: 14_000 }), RangeError);
    assert.throws(() => createElector({ ...options, requestTimeoutMs: 3_000 }), RangeError);
    assert.throws(() => createElector({ ...options, leaseMs: 15_500 }), RangeError);
  });

  test('one of three leads, and keeps leading', async () => {
    const all = ['a', 'b', 'c'].map((identity) => candidate(identity).elector);
    await until(() => log.length > 0);
    await sleep(timings.leaseMs * 1.2);
    assert.equal(log.length, 1);
    assert.equal(all.filter((elector) => elector.leads()).length, 1);
    const { holderIdentity, renewTime, leaseTransitions } = await spec();
    assert.equal(`${holderIdentity} leads`, log[0]);
    assert.match(String(renewTime), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    assert.equal(leaseTransitions, 0);
  });

  test('hands the Lease back on close, after its work has ended, and another leads at once', async () => {
    let worked = false;
    const finish = (resolve: () => void) => {
      worked = true;
      resolve();
    };
    const onStarted = (signal: AbortSignal) =>
      new Promise<void>((resolve) => {
        log.push('a leads');
        signal.addEventListener('abort', () => setTimeout(() => finish(resolve), 50));
      });
    const { elector } = candidate('a', { ...patient, onStarted });
    await until(() => elector.leads());
    const { elector: next } = candidate('b', patient);
    await elector.close();
    assert.ok(worked);
    await until(() => next.leads());
    assert.deepEqual(log, ['a leads', 'a stopped', 'b leads']);
  });

  test('cut off, it stops before another leads, and is a candidate again after', async () => {
    const stopped: number[] = [];
    const wide = { ...timings, leaseMs: 3_000, renewDeadlineMs: 1_000 };
    const { elector, link } = candidate('a', { ...wide, onStopped: () => stopped.push(performance.now()) });
    await until(() => elector.leads());
    const started: number[] = [];
    const { elector: next } = candidate('b', { ...wide, onStarted: () => void started.push(performance.now()) });
    link.cut = true;
    await until(() => next.leads());
    assert.ok(!elector.leads());
    assert.ok((started[0] ?? 0) - (stopped[0] ?? Number.POSITIVE_INFINITY) >= 1_000, 'lease minus deadline lies between');
    link.cut = false;
    await next.close();
    await until(() => elector.leads());
  });

  test('the work stops at once: its signal is aborted before the call that ends the term returns', async () => {
    let signal: AbortSignal | undefined;
    const onStarted = (given: AbortSignal) => {
      signal = given;
    };
    const { elector, link } = candidate('a', {
      onStarted,
      onStopped: () => log.push(String(signal?.aborted)),
    });
    await until(() => elector.leads());
    link.cut = true;
    await until(() => log.length > 0);
    assert.deepEqual(log, ['true']);
  });

  test('one that lost the Lease to another stops at the first refusal', async () => {
    const { elector } = candidate('a', patient);
    await until(() => elector.leads());
    api.put(leases, { metadata: at, spec: { holderIdentity: 'thief', leaseDurationSeconds: 1 } });
    await until(() => log.includes('a stopped'));
    assert.ok(!elector.leads());
  });

  test('a renewal whose answer got lost is no loss', async () => {
    const { elector, link } = candidate('a');
    await until(() => elector.leads());
    link.loseAnswers = 1;
    await sleep(timings.renewDeadlineMs * 1.2);
    assert.deepEqual(log, ['a leads']);
    assert.ok(elector.leads());
  });

  test('a Lease runs out by the candidate’s own clock: neither the times in it nor the name that holds it decide', async () => {
    const spec = { leaseDurationSeconds: 1, renewTime: '2020-01-01T00:00:00.000000Z' };
    api.put(leases, { metadata: { ...at, name: 'foreign' }, spec: { ...spec, holderIdentity: 'evicted-pod-that-is-still-listed' } });
    api.put(leases, { metadata: { ...at, name: 'own' }, spec: { ...spec, holderIdentity: 'a' } });
    const startMs = performance.now();
    const clock = () => Date.now() - 3_600_000;
    const both = ['foreign', 'own'].map((name) => candidate('a', { name, clock }).elector);
    await until(() => both.some((elector) => elector.leads()));
    assert.ok(performance.now() - startMs >= 1_000);
    await until(() => both.every((elector) => elector.leads()));
  });

  test('closed while it takes the Lease, it begins no work, and releases the Lease', async () => {
    const untilEnd = (signal: AbortSignal) => new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    const { elector } = candidate('a', {
      onStarted(signal) {
        log.push('a leads');
        return untilEnd(signal);
      },
    });
    await Promise.race([elector.close(), sleep(5_000).then(() => assert.fail('it never ends'))]);
    assert.ok(!log.includes('a leads'));
    assert.equal((await spec())['holderIdentity'], '');
  });

  test('a leader whose work fails stops leading', async () => {
    const { elector } = candidate('a', { onStarted: () => Promise.reject(new Error('no')) });
    await until(() => log.includes('a stopped'));
    assert.ok(!elector.leads());
  });
});

interface Link {
  cut: boolean;
  /** This many writes take effect, but their responses are lost. */
  loseAnswers?: number;
}

function through(client: KubeClient, link: Link): KubeClient {
  const never = new Promise<never>(() => undefined);
  const pass = <T>(send: () => Promise<T>): Promise<T> => (link.cut ? never : send());
  return {
    ...client,
    get: (...call) => pass(() => client.get(...call)),
    create: (...call) => pass(() => client.create(...call)),
    replace: (...call) =>
      pass(async () => {
        const answer = await client.replace(...call);
        if (link.loseAnswers) {
          link.loseAnswers -= 1;
          return never;
        }
        return answer;
      }),
  };
}
