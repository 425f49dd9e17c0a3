import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { keyObject } from '../../operator/reconcile/bench.fixture.ts';
import { type AuditLog, auditLogOf } from './audit-log.ts';
import { startBalancer } from './balancer.ts';
import { canRunControlPlane } from './build.ts';
import type { ControlPlane } from './control-plane.ts';
import { type OperatorProcess, startOperatorProcess } from './operator-process.ts';
import {
  type Attached,
  agentPod,
  attach,
  figure,
  keyPath,
  onePool,
  proxyDigest,
  proxyImage,
  type RunningPod,
  read,
  runPod,
  secretPath,
  sendPodsTo,
  startWorld,
  system,
  tokenIn,
  until,
  untilKey,
} from './operator-world.ts';
import { enforcePolicies } from './policies.ts';
import { findServicesHere } from './service-lookup.ts';

const can = canRunControlPlane();
const options = { skip: can.ok ? false : can.why, timeout: 300_000 };
/** Of what starts before them: each part of it may take a minute. */
const setup = { timeout: 600_000 };
const names = ['one', 'two', 'three'];

let cp: ControlPlane;
let folder: string;
let audit: AuditLog;
let stopFinding: () => void;
const replicas = new Map<string, OperatorProcess>();
const attached: Attached[] = [];

before(async () => {
  if (!can.ok) return;
  folder = mkdtempSync(join(tmpdir(), 'keyforge-elections-'));
  const users = names.map((name) => `replica-${name}`);
  audit = auditLogOf(folder, users);
  cp = await startWorld({ apiserverFlags: audit.apiserverFlags });
  await cp.createNamespace('agents');
  await sendPodsTo(cp, 443);
  // Together, in an empty folder.
  await Promise.all(names.map(startReplica));
  await sendPodsTo(cp, replicas.get('one')?.port ?? 0);
  stopFinding = findServicesHere();
}, setup);

after(async () => {
  for (const { session } of attached) session.close();
  await Promise.all([...replicas.values()].map((replica) => replica.stop('SIGKILL')));
  stopFinding?.();
  await cp?.close();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

async function startReplica(name: string): Promise<void> {
  const replica = await startOperatorProcess({
    kubeconfig: await cp.kubeconfigFor(`replica-${name}`, ['system:masters']),
    namespace: system,
    dataDir: folder,
    more: ['--proxy-image-digests', proxyDigest],
  });
  replicas.set(name, replica);
  await replica.ready();
}

/** Names of the replicas that say that they lead. */
async function leaders(): Promise<readonly string[]> {
  const shown = await Promise.all(
    [...replicas].map(async ([name, { metricsUrl }]) => ((await figure(metricsUrl, 'keyforge_operator_leader')) === 1 ? [name] : [])),
  );
  return shown.flat();
}

/** Who wrote after the first so many writes. */
function writers(since: number): readonly string[] {
  const writes = audit.writes().slice(since);
  return [...new Set(writes.map(({ user }) => user.username.replace('replica-', '')))];
}

async function serveKeys(keys: readonly string[]): Promise<void> {
  await Promise.all(keys.map((key) => cp.apply(keyObject('agents', key, onePool))));
  await Promise.all(keys.map((key) => untilKey(cp, 'agents', key)));
}

/** Attaches a proxy of the Pod to each replica. */
async function attachToAll(pod: RunningPod): Promise<readonly Attached[]> {
  const all = await Promise.all([...replicas.values()].map(({ port }) => attach(cp, pod, port)));
  attached.push(...all);
  return all;
}

/** What each replica serves of a key is what its Secret holds. */
async function agree(proxies: readonly Attached[], key: string): Promise<void> {
  const token = await tokenIn(cp, 'agents', key);
  assert.match(token ?? '', /^vk_/);
  const hint = `vk_…${token?.slice(-4)}`;
  await Promise.all(proxies.map((proxy) => proxy.served(([served]) => served?.hints.includes(hint) === true)));
}

test('of three replicas that start together one leads, and it alone writes', options, async () => {
  await until('a leader', async () => (await leaders()).length === 1);
  const since = audit.writes().length;
  await serveKeys(Array.from({ length: 30 }, (_, index) => `bot-${index}`));
  assert.deepEqual(writers(since), await leaders());
});

test('all replicas serve the tokens that the Secrets hold', options, async () => {
  for (const key of ['bot-0', 'bot-5', 'bot-9']) await agree(await attachToAll(await runPod(cp, 'agents', key, key)), key);
});

test('a token rotated by the leader is served by all replicas', options, async () => {
  const proxies = await attachToAll(await runPod(cp, 'agents', 'rotated', 'bot-1'));
  await agree(proxies, 'bot-1');
  const before = await tokenIn(cp, 'agents', 'bot-1');
  const rotate = { metadata: { annotations: { 'keyforge.dev/rotate': 'now' } } };
  assert.equal((await cp.client.request('PATCH', keyPath('agents', 'bot-1'), rotate)).status, 200);
  await until('another token', async () => (await tokenIn(cp, 'agents', 'bot-1')) !== before);
  await agree(proxies, 'bot-1');
});

test('when the leader is killed another takes over; no Secret gets another token', options, async (t) => {
  const secrets = '/api/v1/secrets?labelSelector=app.kubernetes.io%2Fmanaged-by%3Dkeyforge';
  const versions = async () => {
    const { items } = await read(cp, secrets);
    return Object.fromEntries(
      items.map(({ metadata }: { metadata: Record<string, string> }) => [metadata['name'], metadata['resourceVersion']]),
    );
  };
  const before = await versions();
  const [leader = ''] = await leaders();
  await replicas.get(leader)?.stop('SIGKILL');
  replicas.delete(leader);
  const startMs = performance.now();
  const since = audit.writes().length;
  await serveKeys(['orphaned']);
  await cp.client.request('DELETE', keyPath('agents', 'bot-2'));
  t.diagnostic(`another wrote after ${Math.round(performance.now() - startMs)} ms`);
  assert.deepEqual(writers(since), await leaders());
  const [next = ''] = await leaders();
  assert.notEqual(next, leader);
  await until('the Secret of the deleted key is gone', async () => (await read(cp, secretPath('agents', 'bot-2'))) === null, 75_000);
  const { orphaned: _, ...after } = await versions();
  const { 'bot-2': __, ...kept } = before;
  assert.deepEqual(after, kept);
});

test('a replica that comes back follows', options, async () => {
  const [missing = ''] = names.filter((name) => !replicas.has(name));
  const [leader] = await leaders();
  await startReplica(missing);
  await sendPodsTo(cp, replicas.get(missing)?.port ?? 0);
  // The API server learns of another address of its webhook a moment later.
  const pod = await until('a Pod', () => runPod(cp, 'agents', 'orphaned', 'orphaned'));
  await agree(await attachToAll(pod), 'orphaned');
  assert.deepEqual(await leaders(), [leader]);
});

/** What becomes of a Pod that opts in, under the chart's policies. */
async function admission(name: string): Promise<string> {
  const { metadata, spec } = agentPod('orphaned');
  const { status, body } = await cp.client.request('POST', '/api/v1/namespaces/agents/pods', { metadata: { name, ...metadata }, spec });
  if (status === 201) return body.spec.initContainers?.[0]?.name === 'keyforge-proxy' ? 'admitted' : `${name} has no proxy`;
  if (/the webhook keyforge-injector was out of reach/.test(body.message)) return 'refused by the policy';
  return /try again/.test(body.message) ? 'asked to try again' : `${status} ${body.message}`;
}

test('while replicas are replaced one by one, a Pod gets its proxy or is refused for now', options, async (t) => {
  const ports = new Set([...replicas.values()].map(({ port }) => port));
  const service = await startBalancer(() => [...ports]);
  t.after(service.close);
  // Last of all: from here on only kubelets may ask for the tokens of proxies.
  await enforcePolicies(cp, { image: proxyImage, allowedDigests: [proxyDigest] });
  await sendPodsTo(cp, service.port, 'Ignore');
  let probes = 0;
  await until('Pods come by the balancer', async () => {
    probes += 1;
    return (await admission(`probe-${probes}`)) === 'admitted' && service.connections() > 0;
  });
  let replacing = true;
  const asked: Promise<string>[] = [];
  const creating = (async () => {
    for (; replacing; await pause(30)) asked.push(admission(`replaced-${asked.length}`).catch(String));
  })();
  try {
    for (const name of names) {
      const old = replicas.get(name);
      // As a Service does it: it is asked no more once it is told to end, and again once it is ready.
      ports.delete(old?.port ?? 0);
      await old?.stop();
      await startReplica(name);
      ports.add(replicas.get(name)?.port ?? 0);
    }
  } finally {
    replacing = false;
    await creating;
  }
  const counts = Object.entries(Object.groupBy(await Promise.all(asked), (outcome) => outcome));
  t.diagnostic(counts.map(([outcome, all]) => `${outcome}: ${all?.length}`).join(', '));
  assert.deepEqual(
    counts.map(([outcome]) => outcome).filter((outcome) => !['refused by the policy', 'asked to try again'].includes(outcome)),
    ['admitted'],
  );
  await until('a leader', async () => (await leaders()).length === 1);
});
