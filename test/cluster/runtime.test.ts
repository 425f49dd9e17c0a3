import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { subscribe } from 'node:diagnostics_channel';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { connectKube } from '../../operator/kube/client.ts';
import { createReflector, type Reflector } from '../../operator/kube/reflector.ts';
import { secrets } from '../../operator/kube/resources.ts';
import { type KubeClient, KubeError, KubeUnreachable, type WatchEvent } from '../../operator/kube/types.ts';
import { sleep, until } from '../../operator/kube/until.fixture.ts';
import { canRunControlPlane } from './build.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';

const can = canRunControlPlane();
const logger = pino({ level: 'silent' });
/** A process that ends with this one. */
const child = ['--import', join(import.meta.dirname, 'die-with-parent.ts'), join(import.meta.dirname, 'runtime-child.ts')];
const namespace = 'runtime';

describe('the controller runtime on a real API server', { skip: can.ok ? false : can.why }, () => {
  let plane: ControlPlane;
  let client: KubeClient;

  before(async () => {
    plane = await startControlPlane();
    client = connectKube({ kubeconfig: plane.adminKubeconfigPath, logger });
    await plane.createNamespace(namespace);
  });
  after(async () => {
    await client.close();
    await plane.close();
  });
  const put = (name: string, data = 'x') => client.apply(secrets, { metadata: { name, namespace }, stringData: { data } });

  test('makes 1,000 lists over at most four connections', async () => {
    let opened = 0;
    subscribe('undici:client:connected', () => {
      opened += 1;
    });
    const fresh = connectKube({ kubeconfig: plane.adminKubeconfigPath, logger });
    for (let round = 0; round < 20; round += 1) {
      await Promise.all(Array.from({ length: 50 }, () => fresh.list(secrets, { namespace }, { limit: 500 })));
    }
    await fresh.close();
    assert.ok(opened >= 1 && opened <= 4, `${opened} connections`);
  });

  test('outage, compaction and restart: few requests, and every change is reported', async () => {
    const told: string[] = [];
    const { link, requests, relists, refusals } = counting(client);
    const reflector = createReflector({
      client: link,
      resource: secrets,
      scope: { namespace, labelSelector: 'app!=none' },
      onChange: (kind, { metadata }) => told.push(`${kind} ${metadata.name}`),
      logger,
    });
    reflector.start();
    await reflector.synced;
    for (const name of ['a', 'b', 'c']) await put(name);
    await until(() => told.length === 3);
    assert.equal(relists(), 1);

    link.cut();
    await client.remove(secrets, { namespace, name: 'b' });
    await put('c', 'changed');
    await put('d');
    await plane.compact();
    await plane.stopApiserver();
    link.mend();
    const before = requests();
    const stoppedMs = reflector.staleForMs();
    await sleep(6_000);
    assert.ok(reflector.staleForMs() > stoppedMs + 5_000);
    const during = requests() - before;
    assert.ok(during >= 2 && during <= 12, `${during} requests in 6 s`);
    link.cut();
    await plane.startApiserver();
    link.mend();
    await until(() => told.includes('put d'), 60_000);
    assert.deepEqual(told.slice(3).toSorted(), ['gone b', 'put c', 'put d']);
    assert.ok(refusals().includes(410), 'the version that it knew was compacted away');
    assert.ok(relists() >= 2);
    assert.deepEqual(names(reflector), ['a', 'c', 'd']);
    await put('e');
    await until(() => told.includes('put e'));
    await reflector.close();
  });

  test('of three processes one leads; stopped or killed, another leads only after the Lease ran out', async (t) => {
    const all = ['one', 'two', 'three'].map((identity) => candidate(plane.adminKubeconfigPath, identity));
    // Stopped ones too.
    t.after(() => all.map(({ process }) => process.kill('SIGKILL')));
    const leaderBut = async (but: readonly Candidate[]): Promise<Candidate> => {
      const others = all.filter((each) => !but.includes(each));
      await until(() => others.some(({ ledAtMs }) => ledAtMs.length > 0), 60_000);
      return others.find(({ ledAtMs }) => ledAtMs.length > 0) ?? assert.fail();
    };
    const first = await leaderBut([]);
    await sleep(1_000);
    const stoppedMs = Date.now();
    first.process.kill('SIGSTOP');
    const second = await leaderBut([first]);
    const ledMs = second.ledAtMs[0] ?? 0;
    assert.ok(ledMs - stoppedMs >= 6_000, `after ${ledMs - stoppedMs} ms`);
    first.process.kill('SIGCONT');
    await until(() => first.stops > 0, 60_000);
    assert.ok(Math.max(...first.actedAtMs) < ledMs, 'it wrote nothing after it woke up');

    const killedMs = Date.now();
    second.process.kill('SIGKILL');
    first.ledAtMs.length = 0;
    const third = await leaderBut([second]);
    assert.ok((third.ledAtMs[0] ?? 0) - killedMs >= 6_000);
    assert.ok(Math.max(...second.actedAtMs) < (third.ledAtMs[0] ?? 0));

    const last = all.find((each) => each !== second && each !== third) ?? assert.fail();
    last.ledAtMs.length = 0;
    const closedMs = Date.now();
    third.process.kill('SIGTERM');
    await until(() => last.ledAtMs.length > 0, 60_000);
    assert.ok((last.ledAtMs[0] ?? 0) - closedMs < 6_000, 'a Lease handed back is taken before it would run out');
    last.process.kill('SIGTERM');
    await until(() => all.every(({ process }) => process.exitCode !== null || process.signalCode !== null));
  });

  test('a metadata-only cache does not grow by what foreign Secrets hold: 1,000 of 100 kB', async (t) => {
    const data = 'x'.repeat(100_000);
    const numbers = Array.from({ length: 1_000 }, (_, i) => i);
    const create = async () => {
      for (let i = numbers.pop(); i !== undefined; i = numbers.pop()) {
        await client.create(secrets, { metadata: { name: `foreign-${i}`, namespace }, stringData: { data } });
      }
    };
    await Promise.all([create(), create(), create(), create()]);
    const { stdout } = await promisify(execFile)(process.execPath, [...child, 'cache', plane.adminKubeconfigPath], {
      timeout: 120_000,
      killSignal: 'SIGKILL',
    });
    const { grownBytes, objects } = JSON.parse(stdout) as { readonly grownBytes: number; readonly objects: number };
    assert.ok(objects >= 1_000);
    t.diagnostic(`grew by ${grownBytes} bytes`);
    assert.ok(grownBytes < 30_000_000, `grew by ${grownBytes} bytes`);
  });
});

interface Candidate {
  readonly process: ChildProcess;
  readonly ledAtMs: number[];
  readonly actedAtMs: number[];
  stops: number;
}

function candidate(kubeconfig: string, identity: string): Candidate {
  const process = spawn(globalThis.process.execPath, [...child, 'elect', kubeconfig, identity], { stdio: ['pipe', 'pipe', 'inherit'] });
  const state: Candidate = { process, ledAtMs: [], actedAtMs: [], stops: 0 };
  createInterface({ input: process.stdout }).on('line', (line) => {
    const [what, ms] = line.split(' ');
    if (what === 'leads') state.ledAtMs.push(Number(ms));
    else if (what === 'act') state.actedAtMs.push(Number(ms));
    else state.stops += 1;
  });
  return state;
}

interface Link extends KubeClient {
  cut(): void;
  mend(): void;
}

interface Counting {
  readonly link: Link;
  readonly requests: () => number;
  readonly relists: () => number;
  /** Codes of what watches were refused with, as status or in the stream. */
  readonly refusals: () => readonly number[];
}

/** The same client with a line that can be cut, and the requests that a reflector makes counted. */
function counting(client: KubeClient): Counting {
  let cutting = new AbortController();
  let lists = 0;
  let watches = 0;
  const refusals: number[] = [];

  async function* noted(events: AsyncIterable<WatchEvent>): AsyncGenerator<WatchEvent> {
    try {
      for await (const event of events) {
        if (event.type === 'ERROR') refusals.push(event.object.code ?? 0);
        yield event;
      }
    } catch (error) {
      if (error instanceof KubeError) refusals.push(error.status);
      throw error;
    }
  }

  const link: Link = {
    ...client,
    cut: () => cutting.abort(),
    mend: () => {
      cutting = new AbortController();
    },
    list: (...call) => {
      lists += 1;
      return client.list(...call);
    },
    async *watch(resource, scope, signal) {
      watches += 1;
      if (!cutting.signal.aborted) yield* noted(client.watch(resource, scope, AbortSignal.any([signal, cutting.signal])));
      if (cutting.signal.aborted && !signal.aborted) throw new KubeUnreachable('cut');
    },
  };
  return { link, requests: () => lists + watches, relists: () => lists, refusals: () => refusals };
}

function names(reflector: Reflector): readonly string[] {
  return reflector
    .all()
    .map(({ metadata }) => metadata.name)
    .toSorted();
}
