import { sdkVariables, urlVariables } from '../../core/base-urls.ts';
import { credentialVariables } from '../../core/credential-variables.ts';
import { secretVariable } from '../../operator/standalone/credentials.ts';
import type { Environment } from '../config.ts';

/** Providers whose credential may come from the environment, in order of preference. */
export const environmentPools = [
  { pool: 'openai', provider: 'OpenAI', variables: ['OPENAI_API_KEY'] },
  { pool: 'anthropic', provider: 'Anthropic', variables: ['ANTHROPIC_API_KEY'] },
  { pool: 'gemini', provider: 'Gemini', variables: ['GEMINI_API_KEY', 'GOOGLE_API_KEY'] },
] as const;

/** Values shorter than this say nothing: "1" is part of everything. */
const shortestCredential = 8;

/** `KEYFORGE_SECRET_…`: credentials that pools name. */
export function givenSecrets(environment: Environment): Environment {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => name.startsWith('KEYFORGE_SECRET_')));
}

/** Those, and the providers' own variables, as secrets for pools. */
export function secretsOf(environment: Environment): Environment {
  const own = environmentPools.flatMap(({ pool, variables }) => {
    const value = variables.map((name) => environment[name]).find((each) => each !== undefined && each !== '');
    return value === undefined ? [] : [[secretVariable(pool, 'api-key'), value] as const];
  });
  return { ...Object.fromEntries(own), ...givenSecrets(environment) };
}

/** Everything but credentials: by name, and any variable that carries one of the known values. */
export function scrub(environment: Environment, secrets: Environment): Environment {
  const values = Object.values(secrets).filter((value) => value.length >= shortestCredential);
  const clean = Object.entries(environment).filter(
    ([name, value]) => !name.startsWith('KEYFORGE_') && !credentialVariables.has(name) && !values.some((secret) => value.includes(secret)),
  );
  return Object.fromEntries(clean);
}

/** What CMD gets: the scrubbed environment, and the three pairs that lead to the proxy. */
export function commandEnvironment(clean: Environment, proxyUrl: string, token: string): Environment {
  const loopback = ['127.0.0.1', 'localhost', '::1'];
  const noProxy = [...new Set([...(clean['NO_PROXY'] ?? clean['no_proxy'] ?? '').split(',').filter(Boolean), ...loopback])].join(',');
  const ours = sdkVariables.flatMap((each) => [...urlVariables(each, proxyUrl), ...each.keys.map((key) => [key, token])]);
  const also = sdkVariables.flatMap((each) => each.also.map(({ name, value }) => [name, value]));
  return { ...Object.fromEntries(also), ...clean, ...Object.fromEntries(ours), NO_PROXY: noProxy, no_proxy: noProxy };
}
