import { providerKinds, providers } from './manifest/providers.ts';

const ofProviders = providerKinds.flatMap((kind) => providers[kind].variables);

/** Environment variables that commonly hold providers' credentials. No agent may have one. */
export const credentialVariables: ReadonlySet<string> = new Set([...ofProviders, 'AWS_BEARER_TOKEN_BEDROCK']);

/** Variables that may hold no literal credential in a Pod. An agent may need AWS's own for other work, from a Secret. */
export const literalCredentialVariables: ReadonlySet<string> = new Set([
  ...ofProviders,
  'AWS_SECRET_ACCESS_KEY',
  'AWS_BEARER_TOKEN_BEDROCK',
]);
