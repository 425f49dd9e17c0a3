import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Logger, pino } from 'pino';
import type { KubeObject } from '../kube/types.ts';
import { openAuthority } from './authority.ts';
import { handshake, serve } from './handshake.fixture.ts';
import { dayMs, leafLifeMs, rootLifeMs } from './issue.ts';
import { overlapMs } from './roots.ts';
import { type FakeSecrets, fakeSecrets } from './secrets.fixture.ts';
import type { Authority } from './types.ts';

const name = 'keyforge-operator.keyforge-system.svc';
const dnsNames = [name, `${name}.cluster.local`];

interface World {
  readonly api: FakeSecrets;
  readonly clock: { nowMs: number };
  readonly log: string[];
  open(): Promise<Authority>;
}

function world(t: TestContext, startMs: number = Date.now()): World {
  const api = fakeSecrets();
  const clock = { nowMs: startMs };
  const log: string[] = [];
  const logger: Logger = pino({ level: 'info' }, { write: (line: string) => log.push(line) });
  return {
    api,
    clock,
    log,
    async open() {
      const authority = await openAuthority({
        client: api.client,
        namespace: 'keyforge-system',
        dnsNames,
        clock: () => clock.nowMs,
        logger,
      });
      t.after(() => authority.close());
      return authority;
    },
  };
}

function items({ stored }: FakeSecrets): Record<string, string> {
  return { ...(stored?.['data'] as Record<string, string>) };
}

function withData(object: KubeObject | null, data: unknown): KubeObject {
  assert.ok(object !== null);
  return { ...object, data };
}

test('a client that trusts the root accepts the leaf for each of its names and for no other', async (t) => {
  const authority = await world(t).open();
  await using server = await serve(authority);
  for (const dnsName of dnsNames) assert.equal(await handshake(server.port, authority.rootPem(), dnsName), authority.leaf().serial);
  await assert.rejects(handshake(server.port, authority.rootPem(), 'elsewhere.example'), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
});

test('a client that trusts the root of another installation refuses the leaf', async (t) => {
  const authority = await world(t).open();
  const stranger = await world(t).open();
  await using server = await serve(authority);
  await assert.rejects(handshake(server.port, stranger.rootPem(), name), { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
});

test('replicas that start cold at once end with one root, and each signs a leaf of its own', async (t) => {
  const { api, open } = world(t);
  const replicas = await Promise.all([open(), open(), open()]);
  assert.equal(new Set(replicas.map((one) => one.rootPem())).size, 1);
  assert.equal(new Set(replicas.map((one) => one.leaf().serial)).size, 3);
  assert.equal(api.counts.writes, 1);
  for (const server of replicas) {
    await using listening = await serve(server);
    for (const other of replicas) await handshake(listening.port, other.rootPem(), name);
  }
});

test('at rest each check is one read and no write, and nobody is notified', async (t) => {
  const { api, open } = world(t);
  const authority = await open();
  let notified = 0;
  authority.onRenew(() => {
    notified += 1;
  });
  const { reads } = api.counts;
  for (let i = 0; i < 10; i += 1) await authority.check();
  assert.deepEqual([api.counts.reads - reads, api.counts.writes, notified], [10, 1, 0]);
});

test('a restarted operator keeps the root and signs a new leaf', async (t) => {
  const { api, open } = world(t);
  const before = await open();
  const after = await open();
  assert.equal(after.rootPem(), before.rootPem());
  assert.notEqual(after.leaf().serial, before.leaf().serial);
  assert.equal(api.counts.writes, 1);
});

test('the leaf is renewed at two thirds of its life, and the next handshake shows it without a restart', async (t) => {
  const { clock, open } = world(t);
  const authority = await open();
  await using server = await serve(authority);
  const first = authority.leaf().serial;
  clock.nowMs += (leafLifeMs * 2) / 3 - dayMs;
  await authority.check();
  assert.equal(await handshake(server.port, authority.rootPem(), name), first);

  clock.nowMs += 2 * dayMs;
  await authority.check();
  assert.notEqual(authority.leaf().serial, first);
  // The machine's own clock is behind the new leaf's start; its serial is what matters here.
  await assert.rejects(handshake(server.port, authority.rootPem(), name), { code: 'CERT_NOT_YET_VALID' });
});

test('a renewed leaf is what the next handshake accepts', async (t) => {
  const { clock, open } = world(t, Date.now() - 21 * dayMs);
  const authority = await open();
  await using server = await serve(authority);
  const first = await handshake(server.port, authority.rootPem(), name);
  clock.nowMs = Date.now();
  await authority.check();
  const second = await handshake(server.port, authority.rootPem(), name);
  assert.notEqual(second, first);
  assert.equal(second, authority.leaf().serial);
});

test('the leaf is renewed from memory while the API server is down', async (t) => {
  const { api, clock, log, open } = world(t);
  const authority = await open();
  const first = authority.leaf().serial;
  api.away = true;
  clock.nowMs += 25 * dayMs;
  await authority.check();
  assert.notEqual(authority.leaf().serial, first);
  assert.ok(log.some((line) => line.includes('cannot read Secret keyforge-certificates')));
});

test('an operator that slept past the end of its leaf signs a new one at the first check', async (t) => {
  const { clock, open } = world(t);
  const authority = await open();
  clock.nowMs += leafLifeMs + dayMs;
  await authority.check();
  assert.ok(authority.leaf().notAfterMs > clock.nowMs);
});

test('two years before a root ends its successor joins it, and clients of either accept the leaf', async (t) => {
  const bornMs = Date.now() - rootLifeMs + overlapMs;
  const { api, clock, open } = world(t, bornMs);
  const authority = await open();
  const old = authority.rootPem();
  clock.nowMs = Date.now() - dayMs;
  await authority.check();
  assert.equal(authority.rootPem(), old);
  assert.equal(api.counts.writes, 1);

  clock.nowMs = Date.now() + dayMs / 48;
  await authority.check();
  assert.ok(authority.rootPem().startsWith(old));
  const next = authority.rootPem().slice(old.length);
  await using server = await serve(authority);
  for (const ca of [old, next, old + next, next + old]) assert.equal(await handshake(server.port, ca, name), authority.leaf().serial);
  for (const literal of [old, next, old + next]) assert.ok(authority.accepts(literal));
});

test('replicas that find a root due at once end with one successor', async (t) => {
  const { api, clock, open } = world(t);
  const replicas = await Promise.all([open(), open(), open()]);
  clock.nowMs += rootLifeMs - overlapMs + 1;
  await Promise.all(replicas.map((one) => one.check()));
  assert.equal(new Set(replicas.map((one) => one.rootPem())).size, 1);
  assert.equal(api.counts.writes, 2);
});

test('a day before its end a root is still published, a day after only the successor is, and old literals are still accepted', async (t) => {
  const { api, clock, open } = world(t);
  const authority = await open();
  const old = authority.rootPem();
  clock.nowMs += rootLifeMs - dayMs;
  await authority.check();
  const both = authority.rootPem();
  const next = both.slice(old.length);
  assert.ok(both.startsWith(old) && next.length > 0);

  clock.nowMs += 2 * dayMs;
  await authority.check();
  assert.equal(authority.rootPem(), next);
  assert.ok(authority.accepts(both) && authority.accepts(next));
  const restarted = await open();
  assert.ok(restarted.accepts(both));
  assert.deepEqual(Object.keys(items(api)).sort(), ['ca.crt', 'ca.key', 'previous-ca.crt']);
});

test('a leaf signed before the old root ended is still accepted after it, by clients of the successor', async (t) => {
  const endMs = Date.now() - dayMs;
  const { clock, open } = world(t, endMs - rootLifeMs);
  const authority = await open();
  const old = authority.rootPem();
  clock.nowMs = endMs - dayMs;
  await authority.check();
  const both = authority.rootPem();
  await using server = await serve(authority);
  for (const ca of [both, both.slice(old.length)]) assert.equal(await handshake(server.port, ca, name), authority.leaf().serial);
  await assert.rejects(handshake(server.port, old, name), { code: 'CERT_HAS_EXPIRED' });
});

test('an operator that starts with a Secret whose root has expired makes a new root and logs what to re-create', async (t) => {
  const { api, clock, log, open } = world(t, Date.now() - rootLifeMs - dayMs);
  const before = await open();
  clock.nowMs = Date.now();
  const after = await open();
  assert.notEqual(after.rootPem(), before.rootPem());
  assert.ok(log.some((line) => line.includes('every injected Pod must be re-created')));
  assert.equal(api.counts.writes, 2);
  await using server = await serve(after);
  await handshake(server.port, after.rootPem(), name);
});

test('a literal with anything but our roots is not accepted', async (t) => {
  const authority = await world(t).open();
  const stranger = await world(t).open();
  const own = authority.rootPem();
  for (const literal of ['', 'x', `${own}x`, ` ${own}`, stranger.rootPem(), own + stranger.rootPem(), own.replace(/\n/g, '\r\n')])
    assert.equal(authority.accepts(literal), false);
  assert.equal(authority.accepts(own), true);
});

test('a Secret deleted or emptied while the operator runs is written again with the same root', async (t) => {
  const { api, open } = world(t);
  const authority = await open();
  const root = authority.rootPem();
  const leaf = authority.leaf();
  api.stored = null;
  await authority.check();
  assert.equal(authority.rootPem(), root);
  assert.equal(authority.leaf(), leaf);
  assert.equal((await open()).rootPem(), root);
  api.stored = withData(api.stored, {});
  await authority.check();
  assert.equal((await open()).rootPem(), root);
});

test('a root by which another replica replaced ours is adopted and its listeners notified', async (t) => {
  const { api, open } = world(t);
  const ours = await open();
  const theirs = world(t);
  const other = await theirs.open();
  let notified = 0;
  const stop = ours.onRenew(() => {
    notified += 1;
  });
  api.stored = theirs.api.stored;
  await ours.check();
  assert.equal(ours.rootPem(), other.rootPem());
  assert.equal(notified, 1);
  stop();
});

test('an empty Secret is filled', async (t) => {
  const { api, open } = world(t);
  const labels = { 'app.kubernetes.io/managed-by': 'keyforge' };
  api.stored = { metadata: { name: 'keyforge-certificates', namespace: 'keyforge-system', labels, resourceVersion: '7' } };
  await open();
  assert.deepEqual(Object.keys(items(api)), ['ca.crt', 'ca.key']);
});

test('a Secret that is not ours is refused and not changed', async (t) => {
  const { api, open } = world(t);
  api.stored = { metadata: { name: 'keyforge-certificates', namespace: 'keyforge-system', resourceVersion: '7' } };
  await assert.rejects(open(), /Secret keyforge-system\/keyforge-certificates does not belong to KeyForge/);
  assert.equal(api.counts.writes, 0);
});

test('broken contents are refused at the start with what to do, and ignored by a running operator', async (t) => {
  const { api, log, open } = world(t);
  const running = await open();
  const good = items(api);
  const foreign = world(t);
  await foreign.open();
  const strange = items(foreign.api);
  const cut = (good['ca.key'] ?? '').slice(0, 40);
  for (const data of [
    { ...good, 'ca.crt': '' },
    { ...good, 'ca.key': cut },
    { ...good, 'ca.key': strange['ca.key'] },
    { 'ca.crt': good['ca.crt'] },
    { ...good, 'next-ca.crt': strange['ca.crt'] },
    { ...good, 'previous-ca.crt': 'eA==' },
  ]) {
    api.stored = withData(api.stored, data);
    await assert.rejects(open(), /item .* restore it from a backup\. Without one, delete it/);
    const leaf = running.leaf();
    await running.check();
    assert.equal(running.leaf(), leaf);
  }
  assert.equal(api.counts.writes, 1);
  assert.ok(!log.join('').includes(Buffer.from(cut, 'base64').toString().slice(28)));
  assert.ok(!log.join('').includes('PRIVATE KEY'));
});
