import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, beforeEach, describe, test } from 'node:test';
import { pino } from 'pino';
import { connectKube } from './client.ts';
import { type FakeApi, startFakeApi } from './fake-api.fixture.ts';
import { secrets, virtualKeys } from './resources.ts';
import { type KubeClient, KubeError, KubeUnreachable } from './types.ts';
import { until } from './until.fixture.ts';

const logger = pino({ level: 'silent' });
const at = { namespace: 'agents', name: 'a' };

describe('the client', () => {
  let api: FakeApi;
  let client: KubeClient;
  const opened: { close(): Promise<void> }[] = [];

  beforeEach(async () => {
    api = await startFakeApi();
    client = connectKube({ kubeconfig: api.kubeconfig, logger });
    opened.push(client, api);
  });
  after(() => Promise.all(opened.map((each) => each.close())));

  test('makes 1,000 calls over at most four connections', async () => {
    await Promise.all(Array.from({ length: 1_000 }, () => client.get(secrets, at)));
    assert.equal(api.requests.length, 1_000);
    assert.ok(api.connections() <= 4, `${api.connections()} connections`);
  });

  test('a watch takes no connection from the calls', async () => {
    const ending = new AbortController();
    const watches = Array.from({ length: 6 }, async () => {
      for await (const _ of client.watch(secrets, { resourceVersion: '100', timeoutSeconds: 60 }, ending.signal));
    });
    await until(() => api.requests.length === 6);
    assert.equal(await client.get(secrets, at), null);
    ending.abort();
    await Promise.all(watches);
  });

  test('a watch that follows another takes over its connection', async () => {
    for (const _ of [1, 2, 3]) {
      const events = client.watch(secrets, { resourceVersion: '100', timeoutSeconds: 0 }, AbortSignal.timeout(20_000));
      for await (const event of events) assert.equal(event.type, 'BOOKMARK');
    }
    assert.deepEqual([api.requests.length, api.connections()], [3, 1]);
  });

  test('a watch reports an object as large as etcd takes it, each byte of it escaped', async () => {
    const values = '\u0001'.repeat(1.5 * 1024 * 1024);
    api.put(secrets, { metadata: at, values });
    const watching = client.watch(secrets, { resourceVersion: '100', timeoutSeconds: 60 }, AbortSignal.timeout(20_000));
    const { value } = await watching[Symbol.asyncIterator]().next();
    assert.equal(value?.type === 'ADDED' && value.object['values'], values);
  });

  test('sends its user agent and the token of the kubeconfig', async () => {
    await client.get(secrets, at);
    assert.match(api.requests[0]?.headers['user-agent'] ?? '', /^keyforge\/\d+\.\d+\.\d+$/);
    assert.equal(api.requests[0]?.headers.authorization, 'Bearer fake-token');
  });

  test('creates, replaces, applies, patches and removes as field manager keyforge', async () => {
    const made = await client.create(secrets, { metadata: at });
    await client.replace(secrets, { ...made, type: 'Opaque' });
    await assert.rejects(client.replace(secrets, made), (error) => error instanceof KubeError && error.status === 409);
    await client.apply(virtualKeys, { metadata: at, status: {} }, 'status');
    const patched = await client.patch(secrets, at, [{ op: 'add', path: '/series', value: 1 }]);
    assert.deepEqual([patched['series'], patched.apiVersion, patched.kind], [1, 'v1', 'Secret']);
    assert.deepEqual([await client.remove(secrets, at), await client.remove(secrets, at)], [true, false]);
    const writes = api.requests.filter(({ method }) => method !== 'DELETE');
    assert.ok(writes.every(({ query }) => query.get('fieldManager') === 'keyforge'));
    assert.equal(writes[3]?.query.get('force'), 'true');
    assert.equal(writes[3]?.path, '/apis/keyforge.dev/v1alpha1/namespaces/agents/virtualkeys/a/status');
    assert.equal(writes[3]?.headers['content-type'], 'application/apply-patch+yaml');
  });

  test('refuses names that would address another object, without a request', async () => {
    for (const name of ['', '.', '..', '../x', 'a/b', 'a%2fb', 'a'.repeat(254)]) {
      await assert.rejects(client.get(secrets, { namespace: 'agents', name }), { reason: 'InvalidName', status: 400 });
      await assert.rejects(client.get(secrets, { namespace: name, name: 'a' }), { reason: 'InvalidName' });
    }
    await client.get(secrets, { namespace: 'agents', name: 'a?x=1#y' });
    assert.deepEqual(
      api.requests.map(({ path }) => path),
      ['/api/v1/namespaces/agents/secrets/a%3Fx=1%23y'.replace('=', '%3D')],
    );
  });

  test('a missing object is null, a missing kind is an error', async () => {
    assert.equal(await client.get(secrets, at), null);
    api.fault = () => ({ status: 404, text: '404 page not found' });
    await assert.rejects(client.get(virtualKeys, at), { name: 'KubeError', status: 404 });
    await assert.rejects(client.remove(virtualKeys, at), { name: 'KubeError', status: 404 });
  });

  test('reports a refusal with its reason and Retry-After', async () => {
    const text = JSON.stringify({ kind: 'Status', reason: 'TooManyRequests', message: 'later' });
    api.fault = () => ({ status: 429, retryAfter: '7', text });
    await assert.rejects(client.get(secrets, at), {
      status: 429,
      reason: 'TooManyRequests',
      retryAfterMs: 7_000,
      message: 'GET /api/v1/namespaces/agents/secrets/a: 429 later',
    });
  });

  test('no answer in time, a reset and a closed port are KubeUnreachable', async () => {
    const hasty = connectKube({ kubeconfig: api.kubeconfig, logger, timeoutMs: 500 });
    opened.push(hasty);
    for (const fault of ['hang', 'reset'] as const) {
      api.fault = () => fault;
      await assert.rejects(hasty.get(secrets, at), KubeUnreachable);
    }
    await api.close();
    await assert.rejects(hasty.get(secrets, at), KubeUnreachable);
  });

  test('never quotes an answer that it cannot read, for it may hold a Secret', async () => {
    api.fault = () => ({ status: 200, text: '{"data": hunter2' });
    await assert.rejects(client.get(secrets, at), (error: Error) => error instanceof KubeUnreachable && !error.message.includes('hunter2'));
    api.fault = () => ({ status: 200, text: '{"type":"ADDED","object": hunter2\n' });
    const watching = client.watch(secrets, { resourceVersion: '100', timeoutSeconds: 1 }, new AbortController().signal);
    await assert.rejects(watching[Symbol.asyncIterator]().next(), (error: Error) => !error.message.includes('hunter2'));
  });

  test('a kubeconfig that cannot be used is refused at once', () => {
    assert.throws(() => connectKube({ kubeconfig: '/nowhere', logger }));
    writeFileSync(api.kubeconfig, JSON.stringify({ clusters: [], users: [], contexts: [] }));
    assert.throws(() => connectKube({ kubeconfig: api.kubeconfig, logger }), /current context/);
  });

  test('reads the version, where minor may carry a plus', async () => {
    assert.deepEqual(await client.version(), { major: 1, minor: 37, gitVersion: 'v1.37.1' });
  });
});
