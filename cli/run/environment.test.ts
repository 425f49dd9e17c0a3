import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandEnvironment, scrub, secretsOf } from './environment.ts';

const given = {
  PATH: '/bin',
  KEYFORGE_SECRET_OPENAI_PROJ_A: 'sk-first-credential',
  OPENAI_API_KEY: 'sk-second-credential',
  GOOGLE_API_KEY: 'AQ.third-credential',
  ANTHROPIC_AUTH_TOKEN: 'oat-fourth',
  MY_COPY: 'sk-first-credential',
  CONFIG_JSON: '{"key":"AQ.third-credential"}',
  no_proxy: 'corp.example',
};

test('secrets come from KEYFORGE_SECRET_ and from the providers’ own variables', () => {
  assert.deepEqual(secretsOf(given), {
    KEYFORGE_SECRET_OPENAI_PROJ_A: 'sk-first-credential',
    KEYFORGE_SECRET_OPENAI_API_KEY: 'sk-second-credential',
    KEYFORGE_SECRET_GEMINI_API_KEY: 'AQ.third-credential',
  });
});

test('what is left has no credential, under whatever name and inside whatever text', () => {
  assert.deepEqual(scrub(given, secretsOf(given)), { PATH: '/bin', no_proxy: 'corp.example' });
});

test('a value too short to be a credential takes nothing else with it', () => {
  assert.deepEqual(scrub({ PATH: '/bin', DEBUG: '1' }, { KEYFORGE_SECRET_A_B: '1' }), { PATH: '/bin', DEBUG: '1' });
});

test('the command gets the three pairs and loopback past any proxy', () => {
  const environment = commandEnvironment({ PATH: '/bin', no_proxy: 'corp.example' }, 'http://127.0.0.1:9', 'vk_x');
  assert.equal(environment['OPENAI_BASE_URL'], 'http://127.0.0.1:9/v1');
  assert.equal(environment['OPENAI_API_BASE'], 'http://127.0.0.1:9/v1');
  assert.equal(environment['GEMINI_API_BASE'], 'http://127.0.0.1:9/v1beta');
  assert.equal(environment['ANTHROPIC_BASE_URL'], 'http://127.0.0.1:9');
  assert.equal(environment['GOOGLE_GEMINI_BASE_URL'], 'http://127.0.0.1:9');
  for (const name of ['OPENAI_API_KEY', 'ANTHROPIC_API_KEY', 'GEMINI_API_KEY', 'GOOGLE_API_KEY']) assert.equal(environment[name], 'vk_x');
  assert.equal(environment['OPENAI_AGENTS_DISABLE_TRACING'], '1');
  assert.equal(commandEnvironment({ OPENAI_AGENTS_DISABLE_TRACING: '0' }, 'http://x', 'vk_x')['OPENAI_AGENTS_DISABLE_TRACING'], '0');
  assert.equal(environment['NO_PROXY'], 'corp.example,127.0.0.1,localhost,::1');
});
