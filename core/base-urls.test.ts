import assert from 'node:assert/strict';
import { test } from 'node:test';
import { baseUrls, sdkVariables, urlVariables } from './base-urls.ts';
import { credentialVariables } from './credential-variables.ts';

test('only OpenAI’s base URL ends in a version', () => {
  const origin = 'http://127.0.0.1:8787';
  assert.deepEqual(baseUrls(origin), { openai: `${origin}/v1`, anthropic: origin, gemini: origin });
});

test('libraries that read a variable of their own get the base URL of their API', () => {
  const variables = sdkVariables.flatMap((each) => urlVariables(each, 'http://127.0.0.1:8787'));
  assert.deepEqual(Object.fromEntries(variables), {
    OPENAI_BASE_URL: 'http://127.0.0.1:8787/v1',
    OPENAI_API_BASE: 'http://127.0.0.1:8787/v1',
    ANTHROPIC_BASE_URL: 'http://127.0.0.1:8787',
    GOOGLE_GEMINI_BASE_URL: 'http://127.0.0.1:8787',
    GEMINI_API_BASE: 'http://127.0.0.1:8787/v1beta',
  });
});

test('every variable that holds a key is one that no agent inherits', () => {
  const keys = sdkVariables.flatMap((variables) => variables.keys);
  assert.deepEqual(
    keys.filter((name) => !credentialVariables.has(name)),
    [],
  );
});
