import type { SimulatedModel } from '../simulator/types.ts';

/** A pool of the simulated provider. Its models carry the simulation's own prices, so that both sides must agree to the pico-dollar. */
export interface PoolShape {
  readonly name: string;
  readonly provider: 'OpenAI' | 'Anthropic' | 'Gemini';
  readonly endpoint: string;
  /** Credential name → the key's quota scope; default: one key `main`. */
  readonly keys?: Readonly<Record<string, string>>;
  /** Default: the price book's. */
  readonly models?: readonly SimulatedModel[];
}

/** A ProviderPool in namespace `keyforge-system`, open to every namespace; its secret is `secretName`. */
export function poolManifest(pool: PoolShape): string {
  const keys = Object.entries(pool.keys ?? { main: '' });
  return [
    'apiVersion: keyforge.dev/v1alpha1',
    'kind: ProviderPool',
    `metadata: {name: ${pool.name}, namespace: keyforge-system}`,
    'spec:',
    `  provider: ${pool.provider}`,
    `  endpoint: ${pool.endpoint}`,
    '  keys:',
    ...keys.map(
      ([name, scope]) =>
        `  - {name: ${name}, secretRef: {name: ${pool.name}, key: ${name}}${scope === '' ? '' : `, quotaScope: ${JSON.stringify(scope)}`}}`,
    ),
    '  consumers: [{namespaceSelector: {}}]',
    ...(pool.models === undefined || pool.models.length === 0 ? [] : ['  models:', ...pool.models.map(modelLine)]),
    '',
  ].join('\n');
}

function modelLine(model: SimulatedModel): string {
  const price = {
    input: perMillion(model.price.input),
    output: perMillion(model.price.output),
    ...(model.price.cachedInput === undefined ? {} : { cachedInput: perMillion(model.price.cachedInput) }),
    ...(model.price.cacheWrite === undefined ? {} : { cacheWrite: perMillion(model.price.cacheWrite) }),
  };
  return `  - ${JSON.stringify({ name: model.name, maxOutputTokens: model.maxOutputTokens ?? 4096, pricePerMillion: price })}`;
}

/** Pico-USD per token as decimal dollars per million tokens. */
export function perMillion(pico: bigint): string {
  const whole = pico / 1_000_000n;
  const rest = (pico % 1_000_000n).toString().padStart(6, '0').replace(/0+$/, '');
  return rest === '' ? whole.toString() : `${whole}.${rest}`;
}

/** A VirtualKey `agents/NAME` on the three simulated pools; `spec` is laid over the default. */
export function keyManifest(name: string, spec: Readonly<Record<string, unknown>> = {}): string {
  const pools = ['openai', 'anthropic', 'gemini'].map((pool) => ({ name: pool, namespace: 'keyforge-system' }));
  const document = {
    apiVersion: 'keyforge.dev/v1alpha1',
    kind: 'VirtualKey',
    metadata: { name, namespace: 'agents' },
    spec: { pools, limits: [{ window: 'Day', usd: '1.00' }], ...spec },
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}
