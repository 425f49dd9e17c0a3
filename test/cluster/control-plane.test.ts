import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { canRunControlPlane } from './build.ts';
import { type Cluster, canRunPods, startCluster } from './cluster.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { isAlive } from './folder.ts';
import { nodeImage } from './image.ts';
import { until } from './operator-world.ts';

const plane = canRunControlPlane();
const pods = await canRunPods();

test('a control plane', { skip: plane.ok ? false : plane.why }, async (t) => {
  let cp: ControlPlane;
  t.before(async () => {
    cp = await startControlPlane();
  });
  t.after(() => cp.close());

  await t.test('serves the version that it was built from', async () => {
    const { body } = await cp.client.request('GET', '/version');
    assert.match(body.gitVersion, /^v1\.\d+\.\d+$/);
  });

  await t.test('has controllers at work: a new namespace gets its ServiceAccount and the root certificate', async () => {
    await cp.createNamespace('agents', { team: 'ml' });
    const { body } = await cp.client.request('GET', '/api/v1/namespaces/agents');
    assert.equal(body.metadata.labels.team, 'ml');
    await until('the root certificate is there', async () => {
      return (await cp.client.request('GET', '/api/v1/namespaces/agents/configmaps/kube-root-ca.crt')).status === 200;
    });
  });

  await t.test('lets nobody do what RBAC does not give', async () => {
    const stranger = await cp.clientFor('stranger');
    const { status, body } = await stranger.request('GET', '/api/v1/secrets');
    await stranger.close();
    assert.equal(status, 403);
    assert.match(body.message, /User "stranger" cannot list resource "secrets"/);
  });

  await t.test('applies several documents, and names the object that was refused', async () => {
    const document = (name: string): string => `{apiVersion: v1, kind: ConfigMap, metadata: {name: ${name}, namespace: default}}`;
    await cp.apply(`${document('a')}\n---\n${document('b')}\n`);
    await assert.rejects(cp.apply(document('Not_A_Name')), /ConfigMap Not_A_Name: 422 /);
  });

  await t.test('comes back on the same address with its objects, and answers 410 for a version that is compacted away', async () => {
    const list = await cp.client.request('GET', '/api/v1/namespaces/default/configmaps');
    await cp.apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'later', namespace: 'default' } });
    await cp.compact();
    await cp.stopApiserver();
    await assert.rejects(cp.client.request('GET', '/version'), /ECONNREFUSED|ECONNRESET|EPIPE|other side closed/);
    await cp.startApiserver();
    const path = `/api/v1/namespaces/default/configmaps?watch=true&timeoutSeconds=2&resourceVersion=${list.body.metadata.resourceVersion}`;
    const { body } = await cp.client.request('GET', path);
    assert.deepEqual([body.type, body.object.code, body.object.reason], ['ERROR', 410, 'Expired']);
    assert.equal((await cp.client.request('GET', '/api/v1/namespaces/default/configmaps/later')).status, 200);
  });
});

test('a test that is killed leaves no process behind', { skip: plane.ok ? false : plane.why }, async () => {
  const module = JSON.stringify(join(import.meta.dirname, 'control-plane.ts'));
  const script = `const cp = await (await import(${module})).startControlPlane(); console.log(process.pid, cp.url); process.kill(process.pid, 'SIGKILL')`;
  const url = await new Promise<string>((resolve) => {
    execFile(process.execPath, ['--input-type=module', '--eval', script], (_error, stdout) => resolve(stdout.trim().split(' ')[1] ?? ''));
  });
  assert.match(url, /^https:/);
  await until(`${url} answers no more`, () =>
    fetch(url).then(
      () => false,
      (error: Error) => (error.cause as NodeJS.ErrnoException).code === 'ECONNREFUSED',
    ),
  );
});

/** Each part of a node may take a minute. */
const setup = { timeout: 600_000 };

test('a cluster', { skip: pods.ok ? false : pods.why, timeout: 900_000 }, async (t) => {
  let cluster: Cluster;
  t.before(async () => {
    cluster = await startCluster();
    const server = `
      import { createServer } from 'node:http';
      console.log('serving');
      createServer(async (request, response) => {
        const answer = await fetch('http://${cluster.hostAddress}:' + request.url.slice(1));
        response.end('pod: ' + (await answer.text()));
      }).listen(8080);
      process.on('SIGTERM', () => process.exit(0));`;
    const image = { name: 'keyforge.test/server:1', folder: cluster.folder, files: { '/server.mjs': server } };
    await cluster.importImage(await nodeImage({ ...image, entrypoint: ['/usr/local/bin/node', '/server.mjs'] }));
    await cluster.createNamespace('agents');
    await cluster.apply(serverManifests);
    await untilRunning(cluster);
  }, setup);
  t.after(() => cluster.close());

  await t.test('runs a pod that is reached by its Service, and that reaches the test', async () => {
    const server = createServer((_request, response) => response.end('test')).listen(0, cluster.hostAddress);
    await once(server, 'listening');
    try {
      const { port } = server.address() as AddressInfo;
      const service = await cluster.client.request('GET', '/api/v1/namespaces/agents/services/server');
      assert.equal(await untilAnswered(`http://${service.body.spec.clusterIP}/${port}`), 'pod: test');
      const script = `fetch('http://server.agents/${port}').then((answer) => answer.text()).then(console.log)`;
      const { code, stdout, stderr } = await cluster.podExec('agents', 'server', 'main', ['/usr/local/bin/node', '-e', script]);
      assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'pod: test\n', stderr: '' });
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  await t.test('gives logs and exit codes', async () => {
    assert.equal(await cluster.podLogs('agents', 'server', 'main'), 'serving\n');
    assert.equal((await cluster.podExec('agents', 'server', 'main', ['/usr/local/bin/node', '-e', 'process.exit(3)'])).code, 3);
  });

  await t.test('shows what runs on the node, with its environment', () => {
    const found = cluster.processes().filter((one) => one.arguments.includes('/server.mjs'));
    assert.equal(found.length, 1);
    assert.ok(found[0]?.environment.includes('CANARY=sung'));
    assert.ok(cluster.processes().some((one) => one.arguments[0]?.endsWith('/kubelet')));
  });

  await t.test('leaves no process and no interface', async () => {
    const left = cluster.processes().map(({ pid }) => pid);
    await cluster.close();
    // The kernel takes namespaces down in its own time.
    await until('its processes are gone', async () => left.filter(isAlive).length === 0);
    await until('its interface is gone', async () => {
      const addresses = Object.values(networkInterfaces()).flatMap((found) => found?.map(({ address }) => address));
      return !addresses.includes(cluster.hostAddress);
    });
  });
});

const serverManifests = `
apiVersion: v1
kind: Pod
metadata: {name: server, namespace: agents, labels: {app: server}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: keyforge.test/server:1
    imagePullPolicy: Never
    env: [{name: CANARY, value: sung}]
    readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: server, namespace: agents}
spec: {selector: {app: server}, ports: [{port: 80, targetPort: 8080}]}
`;

async function untilRunning({ client }: Cluster): Promise<void> {
  await until('the pod is ready', async () => {
    const { body } = await client.request('GET', '/api/v1/namespaces/agents/pods/server');
    return body.status.containerStatuses?.[0]?.ready === true;
  });
}

/** A Service leads to its pods about a second after they are ready. */
async function untilAnswered(url: string): Promise<string> {
  return until(`${url} answers`, async () => (await fetch(url)).text());
}
