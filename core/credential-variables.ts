/** Variables under which providers' credentials are commonly kept: no agent is to have one. */
export const credentialVariables: ReadonlySet<string> = new Set([
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
]);
