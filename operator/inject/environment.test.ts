import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inject } from './inject.ts';
import { agentPod, injected, key, settings } from './pod.fixture.ts';
import { viewOf } from './pod-view.ts';

type Variable = { name: string; value?: string; valueFrom?: unknown };

function environmentOf(env: readonly Variable[] | undefined): readonly Variable[] {
  const pod = injected(agentPod({ containers: [{ name: 'agent', image: 'x', ...(env !== undefined && { env }) }] }));
  return (pod['spec'] as { containers: { env: Variable[] }[] }).containers[0]?.env ?? [];
}

function values(env: readonly Variable[] | undefined): Record<string, string | undefined> {
  return Object.fromEntries(environmentOf(env).map(({ name, value }) => [name, value]));
}

function warnings(container: Readonly<Record<string, unknown>>): readonly string[] {
  const pod = agentPod({ containers: [{ name: 'agent', image: 'x', ...container }] });
  const injection = inject(viewOf(pod), 'agents', key, settings);
  return injection.kind === 'patch' ? injection.warnings.map(({ reason, message }) => `${reason}: ${message}`) : [];
}

test('base URLs are literals, keys come from the token Secret, and the container’s own variables may refer to them', () => {
  const env = environmentOf([{ name: 'LLM', value: '$(OPENAI_BASE_URL)/models' }]);
  const token = { valueFrom: { secretKeyRef: { name: 'research-agent', key: 'api-key' } } };
  assert.deepEqual(env, [
    { name: 'OPENAI_BASE_URL', value: 'http://127.0.0.1:8787/v1' },
    { name: 'OPENAI_API_BASE', value: 'http://127.0.0.1:8787/v1' },
    { name: 'OPENAI_API_KEY', ...token },
    { name: 'OPENAI_AGENTS_DISABLE_TRACING', value: '1' },
    { name: 'ANTHROPIC_BASE_URL', value: 'http://127.0.0.1:8787' },
    { name: 'ANTHROPIC_API_KEY', ...token },
    { name: 'GOOGLE_GEMINI_BASE_URL', value: 'http://127.0.0.1:8787' },
    { name: 'GEMINI_API_BASE', value: 'http://127.0.0.1:8787/v1beta' },
    { name: 'GEMINI_API_KEY', ...token },
    { name: 'GOOGLE_API_KEY', ...token },
    { name: 'NO_PROXY', value: '127.0.0.1,localhost,::1' },
    { name: 'no_proxy', value: '127.0.0.1,localhost,::1' },
    { name: 'LLM', value: '$(OPENAI_BASE_URL)/models' },
  ]);
});

test('a pair that the container sets in part does not change, with a reason', () => {
  const env = [{ name: 'GOOGLE_API_KEY', value: 'unused' }];
  const set = values(env);
  assert.deepEqual([set['GOOGLE_API_KEY'], 'GEMINI_API_KEY' in set, 'GOOGLE_GEMINI_BASE_URL' in set], ['unused', false, false]);
  assert.equal(set['OPENAI_BASE_URL'], 'http://127.0.0.1:8787/v1');
  assert.deepEqual(warnings({ env }), [
    'EnvironmentSet: container agent sets GOOGLE_API_KEY itself: the injector does not change its Gemini variables',
  ]);
});

test('a container that sets the base URL of one library itself gets no key that this library would send there', () => {
  const set = values([{ name: 'OPENAI_API_BASE', value: 'http://vllm:8000/v1' }]);
  assert.deepEqual([set['OPENAI_API_BASE'], 'OPENAI_API_KEY' in set, 'OPENAI_BASE_URL' in set], ['http://vllm:8000/v1', false, false]);
});

test('a container that wants the traces of OpenAI’s Agents SDK keeps them', () => {
  const set = values([{ name: 'OPENAI_AGENTS_DISABLE_TRACING', value: '0' }]);
  assert.deepEqual([set['OPENAI_AGENTS_DISABLE_TRACING'], set['OPENAI_BASE_URL']], ['0', 'http://127.0.0.1:8787/v1']);
});

test('a pair that is half there as we would set it is completed', () => {
  const set = values([{ name: 'OPENAI_BASE_URL', value: 'http://127.0.0.1:8787/v1' }]);
  assert.ok('OPENAI_API_KEY' in set);
});

test('what envFrom brings cannot be seen, which is a warning', () => {
  assert.match(
    warnings({ envFrom: [{ secretRef: { name: 'x' } }] })[0] ?? '',
    /^EnvironmentUnseen: container agent: our provider variables override/,
  );
});

test('loopback is added to either spelling of NO_PROXY, and the absent one gets the same value', () => {
  const extended = 'corp.example,127.0.0.1,localhost,::1';
  for (const name of ['NO_PROXY', 'no_proxy']) {
    const set = values([
      { name: 'A', value: 'a' },
      { name, value: 'corp.example' },
    ]);
    assert.deepEqual([set['NO_PROXY'], set['no_proxy']], [extended, extended]);
  }
  assert.deepEqual(values([{ name: 'NO_PROXY', value: '*' }])['no_proxy'], '*');
});

test('a NO_PROXY from another object stays, with a warning', () => {
  const env = [{ name: 'NO_PROXY', valueFrom: { configMapKeyRef: { name: 'x', key: 'y' } } }];
  assert.ok(!('no_proxy' in values(env)));
  assert.deepEqual(warnings({ env }), [
    'EnvironmentSet: container agent reads NO_PROXY from another object: make sure that it contains 127.0.0.1',
  ]);
});
