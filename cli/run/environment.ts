import { credentialVariables } from '../../core/credential-variables.ts';

/** An environment: names and values. */
export type Environment = Readonly<Record<string, string>>;

/** Providers whose credential may come from the environment, in order of preference. */
export const environmentPools = [
  { pool: 'openai', provider: 'OpenAI', variables: ['OPENAI_API_KEY'] },
  { pool: 'anthropic', provider: 'Anthropic', variables: ['ANTHROPIC_API_KEY'] },
  { pool: 'gemini', provider: 'Gemini', variables: ['GEMINI_API_KEY', 'GOOGLE_API_KEY'] },
] as const;

/** The name of a pool's secret in the environment, by the rule of the command line. */
export function secretVariable(secret: string, key: string): string {
  return `KEYFORGE_SECRET_${secret}_${key}`.toUpperCase().replace(/[-.]/g, '_');
}

/** Values shorter than this say nothing: "1" is part of everything. */
const shortestCredential = 8;

/** `KEYFORGE_SECRET_…` and the providers' own variables, as secrets for pools. */
export function secretsOf(environment: Environment): Environment {
  const secrets = Object.entries(environment).filter(([name]) => name.startsWith('KEYFORGE_SECRET_'));
  const own = environmentPools.flatMap(({ pool, variables }) => {
    const value = variables.map((name) => environment[name]).find((each) => each !== undefined && each !== '');
    return value === undefined ? [] : [[secretVariable(pool, 'api-key'), value] as const];
  });
  return Object.fromEntries([...own, ...secrets]);
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
  return {
    ...clean,
    OPENAI_BASE_URL: `${proxyUrl}/v1`,
    OPENAI_API_KEY: token,
    ANTHROPIC_BASE_URL: proxyUrl,
    ANTHROPIC_API_KEY: token,
    GOOGLE_GEMINI_BASE_URL: proxyUrl,
    GEMINI_API_KEY: token,
    GOOGLE_API_KEY: token,
    NO_PROXY: noProxy,
    no_proxy: noProxy,
  };
}
