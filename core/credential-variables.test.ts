import assert from 'node:assert/strict';
import { test } from 'node:test';
import { credentialVariables, literalCredentialVariables } from './credential-variables.ts';

const known = [
  'OPENAI_API_KEY',
  'OPENAI_ADMIN_KEY',
  'ANTHROPIC_API_KEY',
  'ANTHROPIC_AUTH_TOKEN',
  'CLAUDE_CODE_OAUTH_TOKEN',
  'GEMINI_API_KEY',
  'GOOGLE_API_KEY',
  'AZURE_OPENAI_API_KEY',
  'MISTRAL_API_KEY',
  'OPENROUTER_API_KEY',
  'AWS_BEARER_TOKEN_BEDROCK',
];

test('the variables of all providers are known; agents may have AWS’s own, though not as a literal', () => {
  assert.deepEqual(
    known.filter((name) => !credentialVariables.has(name) || !literalCredentialVariables.has(name)),
    [],
  );
  assert.deepEqual([...literalCredentialVariables.difference(credentialVariables)], ['AWS_SECRET_ACCESS_KEY']);
});
