import assert from 'node:assert/strict';
import { test } from 'node:test';
import { baseUrls, sdkVariables } from './base-urls.ts';
import { credentialVariables } from './credential-variables.ts';

test('only OpenAI’s base URL ends in a version', () => {
  const origin = 'http://127.0.0.1:8787';
  assert.deepEqual(baseUrls(origin), { openai: `${origin}/v1`, anthropic: origin, gemini: origin });
});

test('every variable that holds a key is one that no agent inherits', () => {
  const keys = sdkVariables.flatMap((variables) => variables.keys);
  assert.deepEqual(
    keys.filter((name) => !credentialVariables.has(name)),
    [],
  );
});
