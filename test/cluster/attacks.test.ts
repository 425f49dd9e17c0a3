import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { agentPod, injected, settings } from '../../operator/inject/pod.fixture.ts';
import type { ApiAnswer, ApiClient } from './api-client.ts';
import { attacks, edit, type Json, newerDigest, type PodJson } from './attacks.ts';
import { canRunControlPlane } from './build.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { until } from './operator-world.ts';
import { enforcePolicies } from './policies.ts';

const able = canRunControlPlane();
const pods = '/api/v1/namespaces/agents/pods';

/** As the injector makes it: what every attack begins with. */
const good = (spec: Readonly<Record<string, unknown>> = {}): PodJson => injected(agentPod(spec)) as unknown as PodJson;
const named = (name: string, pod: PodJson): PodJson => ({ ...pod, metadata: { ...pod.metadata, name } });

// The webhook is not there: what these tests see is what holds while the operator is down.
describe('admission policies', { skip: able.ok ? false : able.why }, () => {
  let cluster: ControlPlane;
  let client: ApiClient;

  const create = (pod: object, namespace = 'agents'): Promise<ApiAnswer> =>
    client.request('POST', `/api/v1/namespaces/${namespace}/pods?dryRun=All`, pod);

  before(async () => {
    cluster = await startControlPlane();
    client = cluster.client;
    await Promise.all([cluster.createNamespace('agents'), cluster.createNamespace('keyforge-system')]);
    // A Pod of the time before the policies, opted in and without proxy.
    assert.equal((await client.request('POST', pods, named('earlier', agentPod() as unknown as PodJson))).status, 201);
    await enforcePolicies(cluster, { image: settings.image, allowedDigests: [newerDigest] });
    assert.equal((await client.request('POST', pods, named('running', good()))).status, 201);
  });
  after(() => cluster?.close());

  it('refuses an opted-in Pod without proxy, and says what to do', async () => {
    const answer = await create(agentPod());
    assert.equal(answer.status, 422);
    for (const part of [
      'keyforge-injected-pods',
      'Pod agents/agent asks for a KeyForge proxy',
      'keyforge-injector',
      'get deployment keyforge-operator',
    ])
      assert.ok(answer.body.message.includes(part), `${part}: ${answer.body.message}`);
  });

  it('admits a Pod as the injector makes it, also among init containers and sidecars of others', async () => {
    const others = {
      initContainers: [
        { name: 'migrate', image: 'x' },
        { name: 'mesh', image: 'y', restartPolicy: 'Always', securityContext: { runAsUser: 1337, capabilities: { drop: ['ALL'] } } },
      ],
      volumes: [{ name: 'work', emptyDir: {} }],
      securityContext: {
        runAsUser: 1000,
        fsGroup: 1000,
        appArmorProfile: { type: 'RuntimeDefault' },
        seLinuxOptions: { level: 's0:c26,c10' },
      },
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [{ matchExpressions: [{ key: 'kubernetes.io/os', operator: 'In', values: ['linux'] }] }],
          },
        },
      },
    };
    const resized = edit(good(), (pod) =>
      Object.assign(pod.spec.initContainers[0] as Json, {
        resources: { limits: { cpu: '1', memory: '1Gi', 'ephemeral-storage': '1Gi', 'hugepages-2Mi': '2Mi' }, requests: { cpu: '1' } },
      }),
    );
    for (const pod of [good(), good(others), resized]) {
      const answer = await create(pod);
      assert.equal(answer.status, 201, answer.body.message);
    }
  });

  it('says which labels its namespace needs, where the webhook is narrowed to some', async () => {
    const values = { image: settings.image, allowedDigests: [newerDigest] };
    await enforcePolicies(cluster, { ...values, namespaceSelector: { matchLabels: { agents: 'true' } } });
    const says = 'namespace agents must match injector.namespaceSelector {"matchLabels":{"agents":"true"}}; where it does, the webhook';
    await until('it says so', async () => (await create(agentPod())).body.message.includes(says));
    await enforcePolicies(cluster, values);
    await until('it says so no more', async () => !(await create(agentPod())).body.message.includes('must match'));
  });

  it('admits a Pod as large as they come: the API server bounds what a policy may cost', async () => {
    const env = (count: number, length: number) =>
      Array.from({ length: count }, (_, index) => ({ name: `V${index}`, value: 'v'.repeat(length) }));
    const containers = Array.from({ length: 12 }, (_, index) => ({ name: `c${index}`, image: 'x', env: env(100, 300) }));
    const large = { name: 'large', image: 'x', env: [...env(20, 4000), { name: 'CONFIG', value: 'sk- '.repeat(15_000) }] };
    const answer = await create(good({ containers: [...containers, large] }));
    assert.equal(answer.status, 201, answer.body.message);
  });

  it('names a Pod that has no name yet by what is known of it', async () => {
    const { name: _, ...metadata } = agentPod().metadata;
    const answer = await create({ ...agentPod(), metadata: { ...metadata, generateName: 'agent-' } });
    assert.match(answer.body.message, /Pod agents\/agent-/);
  });

  it('admits the proxy of another release where its digest is allowed', async () => {
    const answer = await create(
      edit(good(), (pod) => Object.assign(pod.spec.initContainers[0] as Json, { image: `mirror/proxy@${newerDigest}` })),
    );
    assert.equal(answer.status, 201, answer.body.message);
  });

  it('leaves Pods alone that did not opt in, whatever they are', async () => {
    const pod = agentPod({
      hostNetwork: true,
      hostPID: true,
      containers: [
        {
          name: 'agent',
          image: 'x',
          env: [{ name: 'OPENAI_API_KEY', value: `sk-${'a'.repeat(40)}` }],
          securityContext: { privileged: true },
        },
      ],
    });
    const labels = [{}, { 'keyforge.dev/inject': 'false' }];
    for (const each of labels) {
      const answer = await create({ ...pod, metadata: { name: 'other', labels: each } });
      assert.equal(answer.status, 201, answer.body.message);
    }
  });

  it('leaves kube-system and the namespace of the operator alone', async () => {
    for (const namespace of ['kube-system', 'keyforge-system']) {
      const answer = await create(agentPod(), namespace);
      assert.equal(answer.status, 201, answer.body.message);
    }
  });

  describe('refuse at creation', () => {
    for (const { what, change, says } of attacks) {
      it(what, async () => {
        const answer = await create(edit(good(), change));
        assert.equal(answer.status, 422, JSON.stringify(answer.body));
        assert.match(answer.body.message, /ValidatingAdmissionPolicy 'keyforge-injected-pods'/);
        assert.ok(answer.body.message.includes(says), answer.body.message);
        assert.ok(answer.body.message.includes('Pod agents/agent'), answer.body.message);
        assert.ok(!answer.body.message.includes('canary'), 'no message repeats a credential');
      });
    }
  });

  describe('refuse to a running Pod', () => {
    const patch = (name: string, body: unknown, subresource = '', type?: string): Promise<ApiAnswer> =>
      client.request('PATCH', `${pods}/${name}${subresource}?dryRun=All`, body, type);
    const strategic = 'application/strategic-merge-patch+json';
    const refused = (answer: ApiAnswer, says: string): void => {
      assert.equal(answer.status, 422, JSON.stringify(answer.body));
      assert.ok(answer.body.message.includes(says), answer.body.message);
    };
    const admitted = (answer: ApiAnswer): void => assert.equal(answer.status, 200, answer.body.message);

    it('another image of the proxy', async () => {
      const body = { spec: { initContainers: [{ name: 'keyforge-proxy', image: 'attacker/proxy' }] } };
      refused(await patch('running', body, '', strategic), 'keyforge-proxy cannot be changed while the Pod runs');
    });

    it('another image of the proxy, together with taking the label off', async () => {
      const body = {
        metadata: { labels: { 'keyforge.dev/inject': null } },
        spec: { initContainers: [{ name: 'keyforge-proxy', image: 'attacker/proxy' }] },
      };
      refused(await patch('running', body, '', strategic), 'keyforge-proxy cannot be changed while the Pod runs');
    });

    it('other resources of the proxy', async () => {
      const body = { spec: { initContainers: [{ name: 'keyforge-proxy', resources: { requests: { cpu: '1m' } } }] } };
      refused(await patch('running', body, '/resize', strategic), 'keyforge-proxy cannot be changed while the Pod runs');
    });

    it('a container to debug it with', async () => {
      const debugger_ = { name: 'debug', image: 'busybox', targetContainerName: 'keyforge-proxy' };
      const body = { spec: { ephemeralContainers: [debugger_] } };
      refused(await patch('running', body, '/ephemeralcontainers', strategic), 'may not be debugged with an ephemeral container');
    });

    it('another virtual key', async () => {
      const body = { metadata: { annotations: { 'keyforge.dev/virtual-key': 'richer' } } };
      refused(await patch('running', body), 'keyforge.dev/virtual-key cannot change while the Pod runs');
    });

    it('a proxy, where it was made without one', async () => {
      assert.equal((await client.request('POST', pods, { ...agentPod(), metadata: { name: 'plain' } })).status, 201);
      refused(
        await patch('plain', { metadata: { labels: { 'keyforge.dev/inject': 'true' } } }),
        'cannot get a KeyForge proxy while it runs',
      );
    });

    it('nothing else: images of the agent, labels, finalizers', async () => {
      admitted(await patch('running', { spec: { containers: [{ name: 'agent', image: 'agent:2' }] } }, '', strategic));
      admitted(await patch('running', { metadata: { labels: { a: 'b' }, finalizers: ['example.com/x'] } }));
    });

    it('nothing of its end, where it was made before the policies', async () => {
      admitted(await patch('earlier', { metadata: { finalizers: ['batch.kubernetes.io/job-tracking'] } }));
    });
  });

  describe('refuse to run commands', () => {
    const connect = (verb: string, container: string): Promise<ApiAnswer> =>
      client.request('POST', `${pods}/running/${verb}?command=sh&stdout=true${container === '' ? '' : `&container=${container}`}`);

    for (const verb of ['exec', 'attach']) {
      it(`in the proxy, by ${verb}`, async () => {
        const answer = await connect(verb, 'keyforge-proxy');
        assert.equal(answer.status, 422, JSON.stringify(answer.body));
        assert.ok(answer.body.message.includes('Pod agents/running: nobody may run commands in keyforge-proxy'), answer.body.message);
      });

      it(`in nothing else, by ${verb}`, async () => {
        for (const container of ['agent', '']) {
          const answer = await connect(verb, container);
          // There is no node: it gets past admission, and no further.
          assert.doesNotMatch(JSON.stringify(answer.body), /ValidatingAdmissionPolicy/);
          assert.match(answer.body.message, /does not have a host assigned/);
        }
      });
    }
  });

  describe('refuse tokens for the operator', () => {
    const ask = (who: ApiClient, audience: string): Promise<ApiAnswer> =>
      who.request('POST', '/api/v1/namespaces/agents/serviceaccounts/default/token', {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { audiences: [audience], expirationSeconds: 600 },
      });

    it('to whoever may ask for tokens', async () => {
      const answer = await ask(client, 'keyforge.dev/control');
      assert.equal(answer.status, 422, JSON.stringify(answer.body));
      assert.ok(answer.body.message.includes('ServiceAccount agents/default: only kubelets'), answer.body.message);
    });

    it('to no kubelet, and none for another audience', async () => {
      const kubelet = await cluster.clientFor('system:node:a', ['system:nodes', 'system:masters']);
      assert.equal((await ask(kubelet, 'keyforge.dev/control')).status, 201);
      await kubelet.close();
      assert.equal((await ask(client, 'https://kubernetes.default.svc')).status, 201);
    });
  });

  describe('hold the operator to its own Secrets', () => {
    const secrets = '/api/v1/namespaces/agents/secrets';
    const user = 'system:serviceaccount:keyforge-system:keyforge-operator';
    const own = { 'app.kubernetes.io/managed-by': 'keyforge' };
    const secret = (name: string, labels: object, type = 'Opaque') => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, labels },
      type,
    });
    let operator: ApiClient;

    before(async () => {
      operator = await cluster.clientFor(user);
      // More than its role gives it: what is left is what the policy leaves.
      await cluster.apply({
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRoleBinding',
        metadata: { name: 'operator-admin' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
        subjects: [{ kind: 'User', name: user }],
      });
      for (const each of [secret('foreign', {}), secret('ours', own)])
        assert.equal((await client.request('POST', secrets, each)).status, 201);
      // The API server learns of its own roles a moment later.
      await until('the role is in force', async () => (await operator.request('GET', secrets)).status === 200);
    });
    after(() => operator?.close());

    const refused = (answer: ApiAnswer, says: string): void => {
      assert.equal(answer.status, 422, JSON.stringify(answer.body));
      assert.ok(answer.body.message.includes(says), answer.body.message);
    };

    it('lets it make, change and delete what carries its label', async () => {
      assert.equal((await operator.request('POST', `${secrets}?dryRun=All`, secret('new', own))).status, 201);
      assert.equal((await operator.request('PATCH', `${secrets}/ours`, { stringData: { a: 'b' } })).status, 200);
      assert.equal((await operator.request('DELETE', `${secrets}/ours?dryRun=All`)).status, 200);
    });

    it('refuses it one without its label', async () => {
      refused(await operator.request('POST', secrets, secret('new', {})), "Secret agents/new is not KeyForge's");
    });

    it('refuses it a change of another’s, also one that takes it over', async () => {
      refused(await operator.request('PATCH', `${secrets}/foreign`, { stringData: { a: 'b' } }), "Secret agents/foreign is not KeyForge's");
      refused(
        await operator.request('PATCH', `${secrets}/foreign`, { metadata: { labels: own } }),
        "Secret agents/foreign is not KeyForge's",
      );
      refused(await operator.request('DELETE', `${secrets}/foreign`), "Secret agents/foreign is not KeyForge's");
    });

    it('refuses it the token of a ServiceAccount', async () => {
      const token = secret('token', own, 'kubernetes.io/service-account-token');
      const answer = await operator.request('POST', secrets, {
        ...token,
        metadata: { ...token.metadata, annotations: { 'kubernetes.io/service-account.name': 'default' } },
      });
      refused(answer, 'Secrets of type Opaque only');
    });

    it('does not look at what others write', async () => {
      assert.equal((await client.request('PATCH', `${secrets}/foreign?dryRun=All`, { stringData: { a: 'b' } })).status, 200);
    });
  });
});
