import { providerKinds, providers } from './manifest/providers.ts';

const ofProviders = providerKinds.flatMap((kind) => providers[kind].variables);

/** Variables in which credentials of providers are commonly kept: no agent is to have one. */
export const credentialVariables: ReadonlySet<string> = new Set([...ofProviders, 'AWS_BEARER_TOKEN_BEDROCK']);

/** Variables that no Pod may give a credential as a literal; AWS's own an agent may need for other work, from a Secret. */
export const literalCredentialVariables: ReadonlySet<string> = new Set([
  ...ofProviders,
  'AWS_SECRET_ACCESS_KEY',
  'AWS_BEARER_TOKEN_BEDROCK',
]);
