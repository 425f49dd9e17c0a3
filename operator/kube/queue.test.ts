import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { pino } from 'pino';
import { createQueue, type Queue, type QueueOptions } from './queue.ts';
import { KubeError, KubeUnreachable } from './types.ts';
import { sleep, until } from './until.fixture.ts';

const logger = pino({ level: 'silent' });

describe('the queue', () => {
  let queue: Queue;
  afterEach(() => queue.close());

  function open(work: QueueOptions['work'], more: Partial<QueueOptions> = {}): Queue {
    queue = createQueue({ work, concurrency: 2, backOff: { firstMs: 20, maxMs: 80 }, logger, random: () => 1, ...more });
    return queue;
  }

  test('a key waits once however often it is added', async () => {
    const worked: string[] = [];
    open(async (key) => void worked.push(key), { concurrency: 1 });
    for (let i = 0; i < 100; i += 1) for (const key of ['a', 'b', 'c']) queue.add(key);
    await queue.idle();
    assert.deepEqual(worked, ['a', 'b', 'c', 'a']); // `a` was running when it was added again
  });

  test('never runs one key twice at a time, nor more keys than allowed; a key added meanwhile runs again', async () => {
    const inWork: string[] = [];
    let most = 0;
    let runs = 0;
    open(async (key) => {
      assert.ok(!inWork.includes(key));
      inWork.push(key);
      most = Math.max(most, inWork.length);
      runs += 1;
      if (runs < 10) queue.add(key);
      await sleep(2);
      inWork.splice(inWork.indexOf(key), 1);
    });
    for (const key of ['a', 'b', 'c', 'd']) queue.add(key);
    await queue.idle();
    assert.equal(most, 2);
    assert.ok(runs > 10);
  });

  test('a failure is retried after doubling waits, and success resets them', async () => {
    const atMs: number[] = [];
    open(
      async () => {
        atMs.push(performance.now());
        if (atMs.length !== 8) throw new Error('no');
      },
      { backOff: { firstMs: 20, maxMs: 60_000 } },
    );
    queue.add('a');
    await until(() => atMs.length === 8);
    queue.add('a');
    await until(() => atMs.length === 10);
    const waits = atMs.slice(1).map((ms, i) => ms - (atMs[i] ?? 0));
    for (const [failures, waitMs] of waits.slice(0, 7).entries()) assert.ok(waitMs >= 20 * 2 ** failures - 1, waits.join());
    // The seventh was 1,280 ms.
    const again = waits.at(-1) ?? 0;
    assert.ok(again >= 19 && again < 1_280, `${again}`);
  });

  test('Retry-After of a refusal prolongs the wait', async () => {
    const atMs: number[] = [];
    open(async () => {
      atMs.push(performance.now());
      if (atMs.length === 1) throw new KubeError(429, 'TooManyRequests', 'later', 200);
    });
    queue.add('a');
    await until(() => atMs.length === 2);
    assert.ok((atMs[1] ?? 0) - (atMs[0] ?? 0) >= 199);
  });

  test('runs a key again when its work requests it, and at the earlier of two dates', async () => {
    let runs = 0;
    open(async () => {
      runs += 1;
      return runs === 1 ? { againInMs: 30 } : undefined;
    });
    queue.add('a');
    queue.addAfter('b', 600_000);
    queue.addAfter('b', 10);
    queue.addAfter('b', 300_000);
    await until(() => runs === 3);
  });

  test('with the API server down, 500 keys make few attempts; when it is back, all are done', async () => {
    let away = true;
    let attempts = 0;
    const done = new Set<string>();
    open(
      async (key) => {
        attempts += 1;
        if (away) throw new KubeUnreachable('refused');
        done.add(key);
      },
      { random: () => 0 },
    );
    for (let i = 0; i < 500; i += 1) queue.add(`key-${i}`);
    const startMs = performance.now();
    await until(() => attempts >= 4);
    // Two at once, then one after at least 125, 250 and 500 ms.
    const tookMs = performance.now() - startMs;
    assert.ok(tookMs >= 125 + 250 - 25 && attempts <= 5, `${attempts} attempts in ${tookMs} ms`);
    away = false;
    await until(() => done.size === 500);
  });

  test('an API server that refuses every key gets few retries, and a new key waits for none of them', async () => {
    let refuses = true;
    let attempts = 0;
    const done = new Set<string>();
    open(
      async (key) => {
        attempts += 1;
        if (refuses && key !== 'new') throw new KubeError(500, 'InternalError', 'etcd is away');
        done.add(key);
      },
      { backOff: { firstMs: 1, maxMs: 4 } },
    );
    for (let i = 0; i < 300; i += 1) queue.add(`key-${i}`);
    const startMs = performance.now();
    await until(() => attempts >= 1_000);
    await sleep(300);
    const tookMs = performance.now() - startMs;
    assert.ok(attempts <= 3 * 300 + 100 + tookMs / 100 + 1, `${attempts} attempts in ${tookMs} ms`);
    queue.add('new');
    await queue.idle();
    assert.ok(done.has('new'));
    refuses = false;
    await until(() => done.size > 5);
  });

  test('a key that fails once is retried soon, however many others keep failing', async () => {
    let failing = 0;
    const done = new Set<string>();
    open(
      async (key) => {
        if (key === 'once' ? !done.has('tried') : true) {
          failing += 1;
          if (key === 'once') done.add('tried');
          throw new KubeError(403, 'Forbidden', 'exceeded quota');
        }
        done.add(key);
      },
      { backOff: { firstMs: 1, maxMs: 4 } },
    );
    for (let i = 0; i < 300; i += 1) queue.add(`key-${i}`);
    await until(() => failing >= 1_000);
    queue.add('once');
    const startMs = performance.now();
    await until(() => done.has('once'));
    assert.ok(performance.now() - startMs < 5_000);
  });

  test('a key that is added and fails again and again does not hold up the retries of others', async () => {
    let attempts = 0;
    open(async (key) => {
      if (key === 'b') attempts += 1;
      if (key === 'a' || attempts === 1) throw new Error('no');
    });
    for (let i = 0; i < 300; i += 1) {
      queue.add('a');
      await queue.idle();
    }
    const startMs = performance.now();
    queue.add('b');
    await until(() => attempts === 2);
    const tookMs = performance.now() - startMs;
    assert.ok(tookMs < 5_000, `${tookMs} ms`);
  });

  test('close starts nothing more and waits for running work', async () => {
    let ended = false;
    let runs = 0;
    open(async () => {
      runs += 1;
      queue.add('a');
      await sleep(30);
      ended = true;
    });
    queue.add('a');
    queue.addAfter('b', 5);
    await queue.close();
    assert.deepEqual([ended, runs], [true, 1]);
    queue.add('c');
    await sleep(20);
    assert.equal(runs, 1);
  });

  test('failures are reported', async () => {
    const failures: string[] = [];
    open(() => Promise.reject(new Error('no')), { onError: (key, error) => failures.push(`${key} ${(error as Error).message}`) });
    queue.add('a');
    await queue.idle();
    assert.deepEqual(failures, ['a no']);
  });
});
