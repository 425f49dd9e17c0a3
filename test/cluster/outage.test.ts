import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { keyObject } from '../../operator/reconcile/bench.fixture.ts';
import { type AuditLog, auditLogOf } from './audit-log.ts';
import { canRunControlPlane } from './build.ts';
import type { ControlPlane } from './control-plane.ts';
import { type OperatorProcess, startOperatorProcess } from './operator-process.ts';
import {
  type Attached,
  attach,
  figure,
  keyPath,
  onePool,
  proxyDigest,
  runPod,
  sendPodsTo,
  startWorld,
  system,
  tokenIn,
  until,
  untilKey,
} from './operator-world.ts';
import { findServicesHere } from './service-lookup.ts';
import { startToll, type Toll } from './toll.ts';

const can = canRunControlPlane();
const options = { skip: can.ok ? false : can.why, timeout: 300_000 };
/** Of what starts before them: each part of it may take a minute. */
const setup = { timeout: 600_000 };
/** Stands for the minutes that an upgrade of a control plane takes. */
const outageMs = 20_000;

let cp: ControlPlane;
let folder: string;
let audit: AuditLog;
let toll: Toll;
let operator: OperatorProcess;
let stopFinding: () => void;
const attached: Attached[] = [];

before(async () => {
  if (!can.ok) return;
  folder = mkdtempSync(join(tmpdir(), 'keyforge-outage-'));
  audit = auditLogOf(folder, ['the-operator']);
  cp = await startWorld({ apiserverFlags: audit.apiserverFlags });
  await cp.createNamespace('agents');
  await sendPodsTo(cp, 443);
  toll = await startToll(await cp.kubeconfigFor('the-operator', ['system:masters']));
  operator = await startOperator();
  await operator.ready();
  await sendPodsTo(cp, operator.port);
  stopFinding = findServicesHere();
  await until('it leads', async () => (await figure(operator.metricsUrl, 'keyforge_operator_leader')) === 1);
}, setup);

after(async () => {
  for (const { session } of attached) session.close();
  await operator?.stop();
  stopFinding?.();
  await toll?.close();
  await cp?.close();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

function startOperator(flags: readonly string[] = []): Promise<OperatorProcess> {
  const more = ['--proxy-image-digests', proxyDigest, ...flags];
  return startOperatorProcess({ kubeconfig: toll.kubeconfigPath, namespace: system, dataDir: folder, more });
}

/** A key with a proxy that is served it. */
async function serveKey(name: string): Promise<Attached> {
  await cp.apply(keyObject('agents', name, onePool));
  await untilKey(cp, 'agents', name);
  // The API server learns of a new operator's address and roots a moment later.
  const pod = await until('a Pod', () => runPod(cp, 'agents', name, name));
  const proxy = await attach(cp, pod, operator.port);
  attached.push(proxy);
  await proxy.served((keys) => keys.length === 1);
  return proxy;
}

const remove = (name: string) => cp.client.request('DELETE', keyPath('agents', name));

test('while the API server is away proxies stay served, and it is asked seldom; then all that changed is made good', options, async (t) => {
  const kept = await serveKey('kept');
  const doomed = await serveKey('doomed');
  const token = await tokenIn(cp, 'agents', 'kept');
  await cp.stopApiserver();
  const before = toll.attempts();
  await pause(outageMs);
  const attempts = toll.attempts() - before;
  t.diagnostic(`${attempts} connections tried in ${outageMs / 1000} s`);
  assert.ok(attempts < 200, `${attempts} attempts`);
  assert.equal(kept.session.state().kind, 'connected');
  assert.equal((await fetch(`${operator.metricsUrl}/healthz`)).status, 200);
  await cp.startApiserver();
  const startMs = performance.now();
  await Promise.all([
    until('deleted', async () => (await remove('doomed')).status === 200),
    cp.apply(keyObject('agents', 'fresh', onePool)),
  ]);
  const revokedMs = (await doomed.served((keys) => keys.length === 0)) - startMs;
  await untilKey(cp, 'agents', 'fresh');
  t.diagnostic(`revoked ${revokedMs.toFixed(0)} ms, a new key served ${(performance.now() - startMs).toFixed(0)} ms after it came back`);
  assert.equal(await tokenIn(cp, 'agents', 'kept'), token);
});

for (const how of ['refuse', 'swallow'] as const) {
  test(
    `a key that is deleted while connections of the operator are ${how === 'refuse' ? 'refused' : 'swallowed'} is revoked once they are not`,
    options,
    async (t) => {
      const doomed = await serveKey(`cut-${how}`);
      toll.block(how);
      await pause(1_000);
      await remove(`cut-${how}`);
      await cp.apply(keyObject('agents', `made-${how}`, onePool));
      await pause(4_000);
      toll.open();
      const startMs = performance.now();
      const revokedMs = (await doomed.served((keys) => keys.length === 0)) - startMs;
      await untilKey(cp, 'agents', `made-${how}`);
      t.diagnostic(`revoked ${revokedMs.toFixed(0)} ms, the new one served ${(performance.now() - startMs).toFixed(0)} ms later`);
    },
  );
}

test('what happened in a history that was compacted meanwhile is made good', options, async (t) => {
  const doomed = await serveKey('compacted');
  toll.block('refuse');
  await remove('compacted');
  await cp.apply(keyObject('agents', 'since', onePool));
  await cp.compact();
  await cp.stopApiserver();
  await cp.startApiserver();
  toll.open();
  const startMs = performance.now();
  const revokedMs = (await doomed.served((keys) => keys.length === 0)) - startMs;
  await untilKey(cp, 'agents', 'since');
  t.diagnostic(`revoked ${revokedMs.toFixed(0)} ms, the new one served ${(performance.now() - startMs).toFixed(0)} ms after it came back`);
  const told = operator.log().filter(({ relist }) => relist === true);
  assert.ok(
    told.some(({ plural, error }) => plural === 'virtualkeys' && /410/.test(String(error))),
    JSON.stringify(told),
  );
});

test(
  'a key that is deleted while the operator is down is dead when it is back, one that was made again has another token, others go on',
  options,
  async () => {
    const doomed = await serveKey('deleted-meanwhile');
    const again = await serveKey('again-meanwhile');
    const former = await tokenIn(cp, 'agents', 'again-meanwhile');
    const kept = await serveKey('kept-meanwhile');
    const token = await tokenIn(cp, 'agents', 'kept-meanwhile');
    const { port } = operator;
    await operator.stop('SIGKILL');
    await remove('deleted-meanwhile');
    await remove('again-meanwhile');
    await cp.apply(keyObject('agents', 'again-meanwhile', onePool));
    operator = await startOperator(['--listen', `127.0.0.1:${port}`]);
    await doomed.served((keys) => keys.length === 0);
    await until('it is attached again', async () => kept.session.state().kind === 'connected');
    await kept.served(([key]) => key?.hints.join() === `vk_…${token?.slice(-4)}`);
    // The garbage collector takes note of new kinds each half a minute only.
    await until('the former token is collected', async () => (await tokenIn(cp, 'agents', 'again-meanwhile')) !== former, 150_000);
    await untilKey(cp, 'agents', 'again-meanwhile');
    const latter = await tokenIn(cp, 'agents', 'again-meanwhile');
    assert.notEqual(latter, former);
    await again.served(([key]) => key?.hints.join() === `vk_…${latter?.slice(-4)}`);
    await until('it leads', async () => (await figure(operator.metricsUrl, 'keyforge_operator_leader')) === 1, 90_000);
  },
);

test('at rest it writes nothing but its Lease', options, async () => {
  // What is shown of proxies that were lost with the operator before follows within half a minute.
  await pause(35_000);
  await until(
    'ten seconds without a write',
    async () => {
      const before = audit.writes().length;
      await pause(10_000);
      return audit.writes().length === before;
    },
    120_000,
  );
});
