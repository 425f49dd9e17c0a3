import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { pino } from 'pino';
import { connectKube } from './client.ts';
import { type FakeApi, type Fault, startFakeApi } from './fake-api.fixture.ts';
import { createReflector, type Reflector, type ReflectorOptions, type Timings } from './reflector.ts';
import { secrets } from './resources.ts';
import type { KubeClient } from './types.ts';
import { sleep, until } from './until.fixture.ts';

const logger = pino({ level: 'silent' });
const timings: Timings = { pageSize: 3, watchMs: 60_000, silenceMs: 10_000, shortMs: 50, backOff: { firstMs: 10, maxMs: 40 } };
/** For tests with a silent peer. */
const hasty: Timings = { ...timings, silenceMs: 1_000 };
const place = (name: string) => ({ namespace: 'agents', name });

describe('the reflector', () => {
  let api: FakeApi;
  let client: KubeClient;
  let reflector: Reflector;
  let reported: string[];

  beforeEach(async () => {
    api = await startFakeApi();
    client = connectKube({ kubeconfig: api.kubeconfig, logger, timeoutMs: 3_000 });
    reported = [];
  });
  afterEach(async () => {
    await reflector.close();
    await client.close();
    await api.close();
  });

  function reflect(options: Partial<ReflectorOptions> = {}): Promise<void> {
    const onChange: ReflectorOptions['onChange'] = (kind, object) => reported.push(`${kind} ${object.metadata.name}`);
    reflector = createReflector({ client, resource: secrets, scope: {}, onChange, logger, timings, ...options });
    reflector.start();
    return reflector.synced;
  }
  const put = (name: string, more: object = {}) => api.put(secrets, { metadata: place(name), ...more });
  const lists = () => api.requests.filter(({ query }) => query.get('watch') === null).length;
  const watches = () => api.requests.filter(({ query }) => query.get('watch') === 'true');
  const names = () =>
    reflector
      .all()
      .map(({ metadata }) => metadata.name)
      .toSorted()
      .join(' ');
  /** Waits for an event that was sent after this moment: the first may already have been in transit. */
  const hears = async () => {
    for (let times = 0; times < 2; times += 1) {
      const sinceMs = performance.now();
      await until(() => performance.now() - reflector.staleForMs() > sinceMs);
    }
  };
  const faultOnWatch = (fault: Fault) => (request: { readonly query: URLSearchParams }) =>
    request.query.get('watch') === 'true' ? fault : undefined;

  test('lists in pages, then follows', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) put(name);
    await reflect();
    assert.equal(names(), 'a b c d e f g');
    assert.equal(lists(), 3);
    put('h');
    api.drop(secrets, place('a'));
    await until(() => reported.includes('gone a'));
    assert.equal(names(), 'b c d e f g h');
    assert.equal(reflector.get(place('h'))?.kind, 'Secret');
    assert.equal(watches()[0]?.query.get('allowWatchBookmarks'), 'true');
    assert.ok(Number(watches()[0]?.query.get('timeoutSeconds')) >= 60);
  });

  test('a page of objects too large to be read is requested again, with half as many', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) put(name);
    const text = ' '.repeat(64 * 1024 * 1024 + 1);
    api.fault = ({ query }) => (Number(query.get('limit')) > 2 ? { status: 200, text } : undefined);
    await reflect();
    assert.equal(names(), 'a b c d e');
    assert.deepEqual(
      api.requests.slice(0, 4).map(({ query }) => query.get('limit')),
      ['3', '2', '2', '2'],
    );
    put('f');
    await until(() => reported.includes('put f'));
  });

  test('requests metadata alone, and its own labels alone', async () => {
    api.put(secrets, { metadata: { ...place('ours'), labels: { of: 'us' } }, data: { password: 'x' } });
    put('theirs', { data: { password: 'x' } });
    await reflect({ scope: { labelSelector: 'of=us', content: 'metadata' } });
    api.put(secrets, { metadata: { ...place('new'), labels: { of: 'us' } }, data: { password: 'x' } });
    await until(() => reported.includes('put new'));
    assert.equal(names(), 'new ours');
    assert.ok(reflector.all().every((object) => !('data' in object) && object.kind === 'Secret'));
    assert.equal(api.requests[0]?.headers.accept, 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1');
    assert.equal(watches()[0]?.headers.accept, 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1');
  });

  test('keeps only what transform returns', async () => {
    api.put(secrets, { metadata: { ...place('a'), managedFields: [] }, data: { password: 'x' } });
    await reflect({ transform: ({ metadata }) => ({ metadata }) });
    assert.deepEqual(Object.keys(reflector.get(place('a')) ?? {}), ['metadata']);
  });

  test('resumes at its last bookmark when a watch ends, without listing again', async () => {
    put('a');
    await reflect();
    await until(() => watches().length === 1);
    api.put({ ...secrets, plural: 'others' }, { metadata: place('x') }); // advances the version, visible only in the bookmark
    await hears();
    api.cut();
    await until(() => watches().length === 2);
    put('b');
    await until(() => reported.includes('put b'));
    assert.equal(lists(), 1);
    assert.equal(watches()[1]?.query.get('resourceVersion'), '102');
    assert.deepEqual(reported, ['put a', 'put b']);
  });

  for (const goneAs of ['status', 'stream'] as const) {
    test(`410 as ${goneAs}: lists again, and reports what was deleted while it was disconnected`, async () => {
      api.goneAs = goneAs;
      for (const name of ['a', 'b', 'c', 'd']) put(name);
      await reflect();
      await until(() => watches().length === 1);
      api.fault = faultOnWatch('reset');
      api.cut();
      await until(() => watches().length === 2);
      api.drop(secrets, place('b'));
      put('d', { changed: true });
      put('e');
      api.compact();
      api.fault = () => undefined;
      await until(() => reported.includes('put e'));
      assert.equal(names(), 'a c d e');
      assert.deepEqual(reported.slice(4), ['gone b', 'put d', 'put e']);
      put('f');
      await until(() => reported.includes('put f'));
    });
  }

  test('what was deleted and re-created while it was disconnected is reported as gone, then as new', async () => {
    const changes: unknown[] = [];
    const first = put('a');
    await reflect({ onChange: (...change) => changes.push(change.map((part) => (typeof part === 'object' ? part.metadata.uid : part))) });
    await until(() => watches().length === 1);
    api.fault = faultOnWatch('reset');
    api.cut();
    api.drop(secrets, place('a'));
    const second = put('a');
    api.compact();
    api.fault = () => undefined;
    await until(() => changes.length === 3);
    assert.deepEqual(changes, [
      ['put', first.metadata.uid, undefined],
      ['gone', first.metadata.uid, first.metadata.uid],
      ['put', second.metadata.uid, undefined],
    ]);
    assert.equal(reflector.get(place('a'))?.metadata.uid, second.metadata.uid);
  });

  test('a dead connection is closed after the silence, and staleness shows it', async () => {
    await reflect({ timings: hasty });
    await until(() => watches().length === 1);
    await sleep(hasty.silenceMs * 1.2);
    assert.equal(watches().length, 1, 'bookmarks are signs of life');
    api.fault = faultOnWatch('mute');
    api.cut();
    await until(() => reflector.staleForMs() > hasty.silenceMs * 0.75);
    put('a');
    api.fault = () => undefined;
    await until(() => reported.includes('put a'));
    assert.ok(reflector.staleForMs() < hasty.silenceMs * 0.75);
    assert.equal(lists(), 1);
  });

  test('a quiet watch that ends as requested is a sign of life, even without bookmarks', async (t) => {
    const quiet = await startFakeApi({ bookmarkMs: 600_000 });
    const quietClient = connectKube({ kubeconfig: quiet.kubeconfig, logger });
    t.after(() => Promise.all([quietClient.close(), quiet.close()]));
    await reflect({ client: quietClient, timings: { ...timings, watchMs: 1_000, silenceMs: 3_000 }, random: () => 0 });
    await until(() => quiet.requests.length >= 4);
    // Two watches have ended, without an event.
    await until(() => reflector.staleForMs() < 900);
  });

  test('where a balancer on the way holds the connection open, the silence alone ends it', async (t) => {
    const relay = await startRelay(api.kubeconfig);
    const relayed = connectKube({ kubeconfig: api.kubeconfig, logger });
    t.after(() => Promise.all([relayed.close(), relay.close()]));
    put('a');
    await reflect({ client: relayed, timings: hasty });
    await until(() => watches().length === 1);
    await hears();
    relay.swallow();
    const startMs = performance.now();
    api.drop(secrets, place('a'));
    await until(() => reported.includes('gone a'));
    const tookMs = performance.now() - startMs;
    assert.ok(tookMs > hasty.silenceMs * 0.8 && tookMs < hasty.silenceMs + 10_000, `${tookMs} ms`);
    assert.equal(lists(), 1);
  });

  test('a list that hangs or is slow is abandoned and retried', async () => {
    api.fault = () => (api.requests.length === 1 ? 'hang' : api.requests.length === 2 ? { delayMs: 250 } : undefined);
    put('a');
    const impatient = connectKube({ kubeconfig: api.kubeconfig, logger, timeoutMs: 200 });
    await reflect({ client: impatient });
    assert.equal(names(), 'a');
    assert.ok(lists() >= 3);
    await impatient.close();
  });

  test('while the API server is down the requests are few, and nothing is lost', async () => {
    put('a');
    put('b');
    await reflect();
    await until(() => watches().length === 1);
    const before = api.requests.length;
    let turn = 0;
    const faults: Fault[] = ['reset', { status: 500 }, { status: 503 }, { status: 403 }, 'reset'];
    api.fault = () => faults[turn++ % faults.length];
    const startMs = performance.now();
    api.cut();
    await sleep(400);
    await until(() => api.requests.length - before >= 5);
    const [during, tookMs] = [api.requests.length - before, performance.now() - startMs];
    assert.ok(during <= 4 + tookMs / 20, `${during} requests in ${tookMs} ms with waits of 20 to 40 ms`);
    api.drop(secrets, place('a'));
    api.fault = () => undefined;
    await until(() => reported.includes('gone a'));
    assert.equal(names(), 'b');
  });

  test('what an API server that is back refuses is retried soon, however long it was down', async () => {
    put('a');
    await reflect({ timings: { ...timings, backOff: { firstMs: 40, maxMs: 600_000 } } });
    await until(() => watches().length === 1);
    api.fault = () => 'reset';
    api.cut();
    // After waits of 40, 80, 160, 320, 640 ms at most, the next takes 640 to 1,280 ms, and would take 1,280 ms at least after that.
    const before = api.requests.length;
    await until(() => api.requests.length >= before + 6);
    api.drop(secrets, place('a'));
    api.compact();
    const away = api.requests.length;
    api.fault = () => undefined;
    await until(() => reported.includes('gone a'));
    const [refused, relisted] = api.requests.slice(away);
    assert.ok((relisted?.atMs ?? Number.POSITIVE_INFINITY) - (refused?.atMs ?? 0) < 1_000);
  });

  test('waits as long as Retry-After says', async () => {
    api.fault = () => (api.requests.length === 1 ? { status: 429, retryAfter: '1' } : undefined);
    await reflect();
    const [first, second] = api.requests;
    assert.ok((second?.atMs ?? 0) - (first?.atMs ?? 0) >= 990);
  });

  test('watches that end at once are not repeated in a hot loop', async () => {
    await reflect();
    await until(() => watches().length === 1);
    api.fault = faultOnWatch({ status: 200 });
    const startMs = performance.now();
    api.cut();
    await sleep(300);
    const [found, tookMs] = [watches().length, performance.now() - startMs];
    assert.ok(found < 5 + tookMs / 20, `${found} watches in ${tookMs} ms`);
  });

  test('repeated and late events report nothing, and restore nothing', async () => {
    await reflect();
    await until(() => watches().length === 1);
    const old = put('a');
    const now = put('a', { changed: true });
    await until(() => reported.length === 2);
    api.say({ type: 'MODIFIED', object: old });
    api.say({ type: 'ADDED', object: now });
    api.drop(secrets, place('a'));
    api.say({ type: 'MODIFIED', object: now });
    api.say({ type: 'DELETED', object: now });
    put('b');
    await until(() => reported.includes('put b'));
    assert.deepEqual(reported, ['put a', 'put a', 'gone a', 'put b']);
    assert.equal(names(), 'b');
  });

  test('a callback that throws, and a line that is no JSON, stop nothing', async () => {
    await reflect({
      onChange: (_, object) => {
        reported.push(object.metadata.name);
        throw new Error('a mistake');
      },
    });
    await until(() => watches().length === 1);
    put('a');
    await until(() => reported.length === 1);
    api.say('{"type":');
    await until(() => watches().length === 2);
    put('b');
    await until(() => reported.includes('b'));
    assert.equal(names(), 'a b');
  });

  test('at rest nothing is reported: neither by bookmarks nor by new watches nor by lists', async () => {
    for (const name of ['a', 'b', 'c', 'd']) put(name);
    await reflect();
    await until(() => watches().length === 1);
    api.cut();
    await until(() => watches().length === 2);
    api.compact();
    api.cut();
    await until(() => lists() === 4 && watches().length === 4);
    await sleep(50);
    assert.equal(reported.length, 4);
  });

  async function disturb(random: () => number, truth: Map<string, string | undefined>): Promise<void> {
    const name = `k${Math.floor(random() * 12)}`;
    if (random() < 0.6) truth.set(name, put(name).metadata.resourceVersion);
    else if (truth.delete(name)) api.drop(secrets, place(name));
    if (random() < 0.04) api.cut();
    if (random() < 0.02) api.compact();
    api.goneAs = random() < 0.5 ? 'status' : 'stream';
    if (random() < 0.2) await sleep(2);
  }

  test('whatever fails in whatever order, the reported changes add up to what the API server holds', async (t) => {
    const seed = Number(process.env['KEYFORGE_TEST_SEED'] ?? Date.now() % 1_000_000);
    t.diagnostic(`KEYFORGE_TEST_SEED=${seed}`);
    const random = seeded(seed);
    const copy = new Map<string, string | undefined>();
    await reflect({
      // A silent watch is closed soon.
      timings: { ...timings, silenceMs: 400 },
      onChange: (kind, { metadata }) => {
        if (kind === 'put') copy.set(metadata.name, metadata.resourceVersion);
        else assert.ok(copy.delete(metadata.name), 'only a reported object can be gone');
      },
    });
    const faults: (Fault | undefined)[] = [
      'reset',
      'mute',
      { status: 500 },
      { status: 410 },
      { delayMs: 5 },
      undefined,
      undefined,
      undefined,
    ];
    const truth = new Map<string, string | undefined>();
    api.fault = () => faults[Math.floor(random() * faults.length)];
    for (let turn = 0; turn < 400; turn += 1) await disturb(random, truth);
    api.fault = () => undefined;
    const sorted = (map: ReadonlyMap<string, unknown>) => JSON.stringify([...map].toSorted());
    await until(() => sorted(copy) === sorted(truth));
    assert.equal(reflector.all().length, truth.size);
  });

  test('fresh finds what its watch did not report, and continues', async () => {
    put('a');
    api.fault = faultOnWatch('mute');
    await reflect({ timings: { ...timings, silenceMs: 60_000 } });
    await until(() => watches().length === 1);
    put('b');
    let failures = 0;
    api.fault = ({ query }) => (query.get('watch') === null && failures++ === 0 ? { status: 500 } : undefined);
    await reflector.fresh();
    assert.equal(names(), 'a b');
    assert.equal(failures, 2);
    api.cut();
    put('c');
    await until(() => reported.includes('put c'));
    assert.deepEqual(reported, ['put a', 'put b', 'put c']);
  });

  test('during a slow list of fresh, the watch continues to report, and is not undone', async () => {
    for (const name of ['a', 'b', 'c', 'd']) put(name);
    await reflect();
    await until(() => watches().length === 1);
    let pages = 0;
    api.fault = ({ query }) => (query.get('watch') === null && ++pages === 2 ? { delayMs: 300 } : undefined);
    const fresh = reflector.fresh();
    await until(() => pages === 2);
    api.drop(secrets, place('a'));
    put('e');
    await until(() => reported.includes('gone a') && reported.includes('put e'));
    await fresh;
    assert.equal(names(), 'b c d e');
    assert.equal(reported.length, 6);
  });

  test('a list that began before fresh undoes nothing', async () => {
    for (const name of ['a', 'b', 'c', 'd']) put(name);
    let pages = 0;
    api.fault = () => (++pages === 2 ? { delayMs: 300 } : undefined);
    const synced = reflect();
    await until(() => pages === 2);
    put('late');
    await reflector.fresh();
    await synced;
    await until(() => watches().length > 0);
    assert.equal(names(), 'a b c d late');
    assert.ok(
      reported.every((change) => change.startsWith('put')),
      reported.join(),
    );
  });

  test('close ends it while it waits, lists or watches', async () => {
    api.fault = () => 'reset';
    void reflect();
    await until(() => api.requests.length > 1);
    await reflector.close();
    const { length } = api.requests;
    await sleep(100);
    assert.equal(api.requests.length, length);
  });
});

interface Relay {
  /** Open connections stay open and go dead; new connections work. */
  swallow(): void;
  close(): Promise<void>;
}

/** Puts a balancer in front of the API server and into the kubeconfig. */
async function startRelay(kubeconfig: string): Promise<Relay> {
  const text = readFileSync(kubeconfig, 'utf8');
  const [address = '', port] = /127\.0\.0\.1:(\d+)/.exec(text) ?? [];
  const sockets = new Set<Socket>();
  const relay = createServer((near) => {
    const far = connect(Number(port), '127.0.0.1');
    for (const socket of [near, far]) sockets.add(socket.on('error', () => undefined));
    near.pipe(far).pipe(near);
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  writeFileSync(kubeconfig, text.replace(address, `127.0.0.1:${(relay.address() as AddressInfo).port}`));
  return {
    swallow() {
      for (const socket of sockets) socket.unpipe().resume();
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      relay.close();
    },
  };
}

/** Park and Miller's generator. */
function seeded(seed: number): () => number {
  let state = seed + 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}
