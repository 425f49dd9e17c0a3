import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonPatchOperation, OwnerReference } from '../kube/types.ts';
import { drift } from './compare.ts';
import { agentPod, key, patched, settings } from './pod.fixture.ts';
import { type ReviewAnswer, type ReviewDeps, reviewAdmission } from './review.ts';
import type { Injection, Pod } from './types.ts';

interface Answered {
  readonly answer: ReviewAnswer;
  readonly outcomes: readonly (readonly [string, string, Injection['kind']])[];
  readonly lookUps: readonly string[];
  readonly owners: readonly (OwnerReference | null)[];
}

async function review(request: Readonly<Record<string, unknown>>, deps: Partial<ReviewDeps> = {}): Promise<Answered> {
  const outcomes: [string, string, Injection['kind']][] = [];
  const lookUps: string[] = [];
  const owners: (OwnerReference | null)[] = [];
  const answer = await reviewAdmission(
    {
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      request: {
        uid: 'u-1',
        resource: { group: '', version: 'v1', resource: 'pods' },
        operation: 'CREATE',
        namespace: 'agents',
        ...request,
      },
    },
    {
      findKey: async (namespace, name) => {
        lookUps.push(`${namespace}/${name}`);
        return key;
      },
      settings: () => settings,
      kubernetes: { minor: 37 },
      onOutcome(namespace, name, { kind }, owner) {
        outcomes.push([namespace, name, kind]);
        owners.push(owner);
      },
      ...deps,
    },
  );
  return { answer, outcomes, lookUps, owners };
}

function response({ answer }: Answered): Record<string, unknown> {
  assert.equal(answer.status, 200);
  return answer.body['response'] as Record<string, unknown>;
}

test('what no API server sends does not fill the log: names are bounded, and a namespace is one', async () => {
  const { outcomes } = await review({ object: agentPod(), name: 'x'.repeat(1_000_000) });
  assert.equal(outcomes[0]?.[1].length, 253);
  for (const namespace of ['', 'x'.repeat(64), '../kube-system', 'a b']) {
    const { answer, lookUps } = await review({ object: agentPod(), namespace });
    assert.deepEqual([answer.status, lookUps], [400, []], namespace);
  }
});

test('a Pod from a template, without name and namespace of its own, is patched for the request’s namespace', async () => {
  const { metadata, ...rest } = agentPod();
  const object = { ...rest, metadata: { labels: metadata.labels, annotations: metadata.annotations, generateName: 'agent-' } };
  const answered = await review({ object });
  const { uid, allowed, patchType, patch } = response(answered);
  assert.deepEqual([uid, allowed, patchType], ['u-1', true, 'JSONPatch']);
  const operations: JsonPatchOperation[] = JSON.parse(Buffer.from(String(patch), 'base64').toString());
  assert.deepEqual(drift(patched(object as unknown as Pod, operations), settings), []);
  assert.deepEqual(answered.lookUps, ['agents/research-agent']);
  assert.deepEqual(answered.outcomes, [['agents', 'agent-*', 'patch']]);
});

test('a dry run gets the same answer and leaves no trace', async () => {
  const answered = await review({ object: agentPod(), dryRun: true });
  assert.ok(response(answered)['patch']);
  assert.deepEqual(answered.outcomes, []);
});

test('the Pod’s controller is reported, where the key exists and the sender names what could be one', async () => {
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'agent-5d8f', uid: '8a1c0a1e-4d1f-4a7e-9c39-2a7d3c1b0f00' };
  const made = (controller: object) => {
    const pod = agentPod({ hostPID: true });
    return { ...pod, metadata: { ...pod.metadata, ownerReferences: [{ ...owner, name: 'other' }, controller] } };
  };
  const object = made({ ...owner, controller: true });
  assert.deepEqual((await review({ object })).owners, [owner]);
  assert.deepEqual((await review({ object }, { findKey: async () => null })).owners, [null]);
  assert.deepEqual((await review({ object: agentPod() })).owners, [null]);
  for (const wrong of [{ kind: 'A sentence' }, { name: 'x'.repeat(254) }, { uid: 7 }, { apiVersion: 'a b' }])
    assert.deepEqual((await review({ object: made({ ...owner, controller: true, ...wrong }) })).owners, [null], JSON.stringify(wrong));
});

test('a refusal gives the reason and what to do', async () => {
  const answered = await review({ object: agentPod({ hostPID: true }) });
  assert.deepEqual(response(answered), {
    uid: 'u-1',
    allowed: false,
    status: {
      code: 403,
      reason: 'Forbidden',
      message: 'HostPID: /spec/hostPID: The Pod could read the proxy’s memory. Set hostPID: false.',
    },
  });
  assert.deepEqual(answered.outcomes, [['agents', 'agent', 'refuse']]);
});

test('Kubernetes before 1.29 is refused for Pods that opt in, and for no other', async () => {
  const kubernetes = { minor: 28 };
  assert.match(JSON.stringify(response(await review({ object: agentPod() }, { kubernetes }))), /KubernetesTooOld.*1\.28/);
  const plain = { ...agentPod(), metadata: { name: 'web' } };
  assert.deepEqual(response(await review({ object: plain }, { kubernetes })), { uid: 'u-1', allowed: true });
});

test('a failed look-up refuses the Pod with advice to retry, and does not show the cause', async () => {
  const findKey = async () => {
    throw new Error('secret cause');
  };
  const { status } = response(await review({ object: agentPod() }, { findKey })) as { status: { code: number; message: string } };
  assert.equal(status.code, 503);
  assert.match(status.message, /^VirtualKeyUnreadable: the operator cannot look up VirtualKey agents\/research-agent now/);
});

test('a Pod that did not opt in costs no look-up', async () => {
  const answered = await review({ object: { ...agentPod(), metadata: { name: 'web', annotations: { 'keyforge.dev/virtual-key': 'x' } } } });
  assert.deepEqual([response(answered), answered.lookUps], [{ uid: 'u-1', allowed: true }, []]);
});

test('updates, subresources and other kinds pass untouched', async () => {
  for (const request of [
    { operation: 'UPDATE' },
    { subResource: 'ephemeralcontainers' },
    { resource: { group: 'apps', version: 'v1', resource: 'deployments' } },
  ]) {
    assert.deepEqual(response(await review({ object: agentPod(), ...request })), { uid: 'u-1', allowed: true });
  }
});

test('warnings are short, whatever the Pod’s size', async () => {
  const containers = Array.from({ length: 60 }, (_, i) => ({
    name: `${'x'.repeat(60)}${i}`,
    image: 'x',
    env: [{ name: 'GOOGLE_GEMINI_BASE_URL', value: '' }],
  }));
  const warnings = response(await review({ object: agentPod({ containers }) }))['warnings'] as string[];
  assert.equal(warnings.length, 30);
  assert.ok(warnings.every((each) => each.length <= 120));
});

test('what is no AdmissionReview is answered with 400', async () => {
  const deps = { findKey: async () => key, settings: () => settings, kubernetes: { minor: 37 }, onOutcome: () => {} };
  for (const body of [null, 'x', [], {}, { kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1beta1', request: { uid: 'x' } }]) {
    assert.equal((await reviewAdmission(body, deps)).status, 400);
  }
  assert.equal((await review({ object: null })).answer.status, 400);
  assert.equal((await review({ object: { spec: {} }, namespace: 7 })).answer.status, 400);
});
