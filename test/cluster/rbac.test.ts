import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pino } from 'pino';
import { Agent, request } from 'undici';
import { WebSocket } from 'ws';
import { closeCodes, helloText } from '../../core/protocol/session.ts';
import { controlAudience } from '../../operator/inject/names.ts';
import { connectKube } from '../../operator/kube/client.ts';
import { createEvents } from '../../operator/kube/events.ts';
import { keyObject, poolObject, secretObject } from '../../operator/reconcile/bench.fixture.ts';
import { type ApiCall, type AuditLog, auditLogOf } from './audit-log.ts';
import { canRunControlPlane } from './build.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { helmBinary } from './helm.ts';
import { type OperatorProcess, startOperatorProcess } from './operator-process.ts';
import { keyPath, read, system, until, untilKey } from './operator-world.ts';
import { run } from './run.ts';

const can = canRunControlPlane();
const options = { skip: can.ok ? false : can.why, timeout: 300_000 };
/** Of what starts before them: each part of it may take a minute. */
const setup = { timeout: 600_000 };
const root = join(import.meta.dirname, '..', '..');
const account = `system:serviceaccount:${system}:keyforge-operator`;
/** Of the pools: not the operator's own. */
const platform = 'platform';
const pools = [{ name: 'openai', namespace: platform }];

let cp: ControlPlane;
let folder: string;
let audit: AuditLog;
let operator: OperatorProcess;
let token: string;
let kubeconfig: string;

before(async () => {
  if (!can.ok) return;
  folder = mkdtempSync(join(tmpdir(), 'keyforge-rbac-'));
  audit = auditLogOf(folder, [account]);
  [cp] = await Promise.all([startControlPlane({ apiserverFlags: audit.apiserverFlags }), helmBinary()]);
  for (const name of [system, platform, 'agents']) await cp.createNamespace(name);
  // First: the chart's policies let only kubelets ask for it.
  token = await mint();
  const homes = ['CACHE', 'CONFIG', 'DATA'].map((name) => [`HELM_${name}_HOME`, join(folder, 'helm', name)]);
  const environment = { ...Object.fromEntries(homes), KUBECONFIG: cp.adminKubeconfigPath };
  const values = ['--set', `operator.poolNamespaces={${platform}}`];
  const chart = join(root, 'charts', 'keyforge');
  await run(await helmBinary(), ['install', 'keyforge', chart, '--namespace', system, ...values], { environment });
  const groups = ['system:serviceaccounts', `system:serviceaccounts:${system}`, 'system:authenticated'];
  // The API server learns of its own roles a moment later; asked for another, so that the log shows nothing of it.
  for (const resourceAttributes of [
    { verb: 'list', group: 'keyforge.dev', resource: 'providerpools' },
    { verb: 'list', resource: 'secrets', namespace: system },
    { verb: 'list', resource: 'secrets', namespace: platform },
  ])
    await until('its roles are in force', async () => {
      const { body } = await cp.client.request('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
        spec: { user: account, groups, resourceAttributes },
      });
      return body.status.allowed === true;
    });
  kubeconfig = await cp.kubeconfigFor(account, groups);
  operator = await startOperatorProcess({ kubeconfig, namespace: system, dataDir: folder, more: ['--pool-namespaces', platform] });
  await operator.ready();
}, setup);

after(async () => {
  await operator?.stop();
  await cp?.close();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

test('as the account that the chart makes, the operator serves a pool and a key, injects, attests, and cleans up', options, async () => {
  await cp.apply(keyObject('agents', 'agent', { pools, limits: [{ window: 'Day', usd: '1.00' }] }));
  await untilKey(cp, 'agents', 'agent', 'False PoolNotFound');
  await cp.apply(secretObject(platform, 'openai', { a: 'sk-real' }));
  await cp.apply(poolObject({}, 'openai', platform));
  await untilKey(cp, 'agents', 'agent');
  const vaults = `/api/v1/namespaces/${system}/secrets?labelSelector=keyforge.dev%2Fvault`;
  assert.equal((await read(cp, vaults)).items.length, 1);
  const certificates = await read(cp, `/api/v1/namespaces/${system}/secrets/keyforge-certificates`);
  const trust = { ca: Buffer.from(certificates.data['ca.crt'], 'base64').toString(), servername: `keyforge-operator.${system}.svc` };
  await review(trust);
  await attest(trust);
  await cp.client.request('PATCH', keyPath('agents', 'agent'), { spec: { secretName: 'elsewhere' } });
  await until('the token has moved', async () => (await read(cp, keyPath('agents', 'agent'))).status.secretName === 'elsewhere');
  await cp.client.request('DELETE', `/apis/keyforge.dev/v1alpha1/namespaces/${platform}/providerpools/openai`);
  await until('the vault is gone', async () => (await read(cp, vaults)).items.length === 0);
  await until('the webhook trusts it', async () => {
    const { webhooks } = await read(cp, '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/keyforge-injector');
    return webhooks[0].clientConfig.caBundle !== undefined;
  });
  // It gives its Lease back.
  await operator.stop();
});

test('it counts an event that happens again a minute later', options, async () => {
  const logger = pino({ level: 'silent' });
  const client = connectKube({ kubeconfig, logger });
  let nowMs = Date.now();
  const events = createEvents({ client, component: 'keyforge.dev/operator', instance: 'test', clock: () => nowMs, logger });
  const namespace = await read(cp, '/api/v1/namespaces/agents');
  const regarding = { ...namespace, apiVersion: 'v1', kind: 'Namespace' };
  const emit = (): void => events.emit({ regarding, type: 'Normal', reason: 'Tried', note: 'a note', action: 'Try' });
  emit();
  nowMs += 61_000;
  emit();
  await events.close();
  await client.close();
  const { items } = await read(cp, '/apis/events.k8s.io/v1/namespaces/default/events');
  const [event] = items.filter(({ reason }: { reason: string }) => reason === 'Tried');
  assert.equal(event.series.count, 2);
});

test('nothing that it asked for was forbidden', options, () => {
  const forbidden = audit.calls().filter(({ responseStatus }) => responseStatus?.code === 403);
  assert.deepEqual(
    forbidden.map(({ responseStatus }) => responseStatus?.message),
    [],
  );
});

test('it used every verb that it has, and where it has it', options, async () => {
  const rbac = '/apis/rbac.authorization.k8s.io/v1';
  const roles: readonly (readonly [string, string, (call: ApiCall) => boolean])[] = [
    // What a Role of a namespace gives as well is no reason for a right everywhere.
    ['everywhere', `${rbac}/clusterroles/keyforge-operator`, (call) => call.objectRef?.namespace !== system],
    [system, `${rbac}/namespaces/${system}/roles/keyforge-operator`, (call) => call.objectRef?.namespace === system],
    [platform, `${rbac}/namespaces/${platform}/roles/keyforge-operator-pools`, (call) => call.objectRef?.namespace === platform],
  ];
  const unused: string[] = [];
  for (const [scope, path, isThere] of roles) {
    const used = new Set(audit.calls().filter(isThere).map(asked));
    const rules = (await read(cp, path)).rules as readonly Rule[];
    unused.push(
      ...rules
        .flatMap(grants)
        .filter((grant) => !used.has(grant))
        .map((grant) => `${scope}: ${grant}`),
    );
  }
  assert.deepEqual(unused, []);
});

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

function grants({ apiGroups, resources, verbs }: Rule): readonly string[] {
  return resources.flatMap((resource) => verbs.map((verb) => `${verb} ${[resource, ...apiGroups].filter(Boolean).join('.')}`));
}

function asked({ verb, objectRef: { resource = '', subresource, apiGroup } = { resource: '' } }: ApiCall): string {
  return `${verb} ${[subresource === undefined ? resource : `${resource}/${subresource}`, apiGroup].filter(Boolean).join('.')}`;
}

interface Trust {
  readonly ca: string;
  readonly servername: string;
}

/** Asks as the API server does, of a Pod whose key no cache has: it may have been applied together with the Pod. */
async function review(connect: Trust): Promise<void> {
  const agent = new Agent({ connect });
  const pod = {
    metadata: {
      name: 'x',
      namespace: 'agents',
      labels: { 'keyforge.dev/inject': 'true' },
      annotations: { 'keyforge.dev/virtual-key': 'unknown' },
    },
    spec: { containers: [{ name: 'agent', image: 'agent' }] },
  };
  const asked = {
    uid: '1',
    kind: { group: '', version: 'v1', kind: 'Pod' },
    resource: { group: '', version: 'v1', resource: 'pods' },
    namespace: 'agents',
    operation: 'CREATE',
    object: pod,
  };
  const answer = await request(`https://127.0.0.1:${operator.port}/inject`, {
    method: 'POST',
    dispatcher: agent,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: asked }),
  });
  assert.equal(answer.statusCode, 200);
  await answer.body.dump();
  await agent.close();
}

/** A token such as the kubelet gives to a Pod. */
async function mint(): Promise<string> {
  const spec = { containers: [{ name: 'agent', image: 'agent' }] };
  await cp.apply({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'agent', namespace: 'agents' }, spec });
  const { uid } = (await cp.client.request('GET', '/api/v1/namespaces/agents/pods/agent')).body.metadata;
  const bound = { audiences: [controlAudience], boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'agent', uid } };
  const { body } = await cp.client.request('POST', '/api/v1/namespaces/agents/serviceaccounts/default/token', { spec: bound });
  return body.status.token;
}

/** Shows the token of a Pod that is no proxy: it is looked at, and refused. */
async function attest(trust: Trust): Promise<void> {
  const socket = new WebSocket(`wss://127.0.0.1:${operator.port}/control`, trust);
  socket.on('open', () => socket.send(helloText(0, token)));
  const [code] = await once(socket, 'close', { signal: AbortSignal.timeout(60_000) });
  assert.equal(code, closeCodes.refused);
}
