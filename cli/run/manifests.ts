import { defined, isObject, type JsonObject } from '../../core/json.ts';
import { parseManifests, type RawDocument } from '../../core/manifest/parse.ts';
import type { Limit, Manifests, VirtualKey } from '../../core/manifest/types.ts';
import { formatUsd, minOf } from '../../core/money.ts';
import { apiVersion, type PoolName, partsOf, poolName } from '../../core/names.ts';
import { formatProblem } from '../../core/problem.ts';
import { secretVariable } from '../../operator/standalone/credentials.ts';
import { loadPaths } from '../../operator/standalone/load.ts';
import type { Environment } from '../config.ts';
import { environmentPools } from './environment.ts';
import type { RunOptions } from './options.ts';

/** Manifests as one run uses them: frozen, credentials taken out, the run's own limits put in. */
export interface RunManifests {
  /** `namespace/name` of the key that CMD gets. */
  readonly key: string;
  /** Plain documents, to be written where the engine reads them. */
  readonly documents: readonly unknown[];
  /** Those given and those found among the manifests. */
  readonly secrets: Environment;
}

const poolNamespace = 'keyforge-system';

/** Reads the files once and narrows the key to this run. */
export async function readRunManifests(
  options: RunOptions,
  secrets: Environment,
): Promise<RunManifests | { readonly problems: readonly string[] }> {
  const loaded = await loadPaths(options.files);
  const { manifests, problems } = parseManifests(loaded.documents);
  const all = [...loaded.problems, ...problems];
  if (all.length > 0) return { problems: all.map(formatProblem) };
  const key = keyOfRun(manifests);
  if (typeof key === 'string') return { problems: [key] };
  const own = manifests.secrets.flatMap(({ name, data }) =>
    Object.entries(data).map(([entry, value]) => [secretVariable(name.split('/')[1] ?? name, entry), value] as const),
  );
  const pools = manifests.pools.length > 0 ? [] : defaultPools(secrets);
  const poolNames = manifests.pools.length > 0 ? manifests.pools.map((pool) => pool.name) : pools.map((pool) => pool.name);
  if (poolNames.length === 0) {
    return { problems: ['no pool: give one with -f, or set OPENAI_API_KEY, ANTHROPIC_API_KEY or GEMINI_API_KEY'] };
  }
  const documents = loaded.documents
    .filter((document) => kindOf(document) !== 'Secret')
    .map((document) => withPools(narrowed(document, key, options), poolNames));
  return {
    key: key.name,
    documents: [...documents, ...pools.map((pool) => pool.document)],
    secrets: { ...Object.fromEntries(own), ...secrets },
  };
}

/** The one key that nobody descends from; a message where there is none or more than one. */
function keyOfRun(manifests: Manifests): VirtualKey | string {
  const parents = new Set(manifests.virtualKeys.map((key) => key.spec.parentRef));
  const leaves = manifests.virtualKeys.filter((key) => key.spec.issueToken && !parents.has(key.name));
  const [only, second] = leaves;
  if (only === undefined) return 'no key: one of the files given with -f must be a policy (a VirtualKey, or its spec)';
  if (second === undefined) return only;
  return `more than one key without children (${leaves.map((key) => key.name).join(', ')}): give the files of one with -f`;
}

function kindOf(document: RawDocument): unknown {
  return isObject(document.value) ? (document.value['kind'] ?? 'VirtualKey') : undefined;
}

/** The run's key with its name written out and the limits of `spec.run` and the command line laid over its own. */
function narrowed(document: RawDocument, key: VirtualKey, options: RunOptions): unknown {
  if (document.file !== key.origin?.file || document.line !== key.origin.line || !isObject(document.value)) return document.value;
  const spec = (document.value['kind'] === undefined ? document.value : document.value['spec']) as JsonObject;
  const { namespace, name } = partsOf(key.name);
  const { ttl, expiresAt, limits, ...rest } = spec;
  return {
    apiVersion,
    kind: 'VirtualKey',
    metadata: { ...(document.value['metadata'] as JsonObject | undefined), name, namespace },
    spec: { ...rest, ...life({ ttl, expiresAt }, key, options), limits: capped(limits, key, options) },
  };
}

/** A run lasts minutes, so its `ttl` replaces a later `expiresAt`; an earlier one is kept. */
function life(own: { readonly ttl: unknown; readonly expiresAt: unknown }, key: VirtualKey, options: RunOptions): JsonObject {
  const runMs = minOf([key.spec.run?.ttlMs, options.ttlMs]);
  if (runMs === undefined || (key.spec.expiresAtMs !== undefined && key.spec.expiresAtMs < Date.now() + runMs)) {
    return defined(own);
  }
  return { ttl: `${Math.max(1, Math.ceil((minOf([key.spec.ttlMs, runMs]) ?? runMs) / 1000))}s` };
}

function capped(limits: unknown, key: VirtualKey, options: RunOptions): unknown {
  const runNano = minOf([key.spec.run?.usdNano, options.usdNano]);
  const own = Array.isArray(limits) ? (limits as readonly JsonObject[]) : [];
  if (runNano === undefined) return own;
  const total: Limit | undefined = key.spec.limits.find((limit) => limit.window === 'Total');
  const given = own.find((limit) => limit['window'] === 'Total') ?? { window: 'Total' };
  const usd = formatUsd(minOf([total?.usdNano, runNano]) ?? runNano);
  return [...own.filter((limit) => limit !== given), { ...given, usd }];
}

/** A root that names no pool uses all there are. */
function withPools(document: unknown, pools: readonly PoolName[]): unknown {
  if (!isObject(document) || document['kind'] !== 'VirtualKey' || !isObject(document['spec'])) return document;
  const spec = document['spec'];
  if (spec['parentRef'] !== undefined || spec['pools'] !== undefined) return document;
  const references = pools.map(partsOf);
  return { ...document, spec: { ...spec, pools: references } };
}

/** One pool for each provider whose credential came from the environment. */
function defaultPools(secrets: Environment): readonly { readonly name: PoolName; readonly document: unknown }[] {
  return environmentPools
    .filter(({ pool }) => secrets[secretVariable(pool, 'api-key')] !== undefined)
    .map(({ pool, provider }) => ({
      name: poolName(poolNamespace, pool),
      document: {
        apiVersion,
        kind: 'ProviderPool',
        metadata: { name: pool, namespace: poolNamespace },
        spec: {
          provider,
          keys: [{ name: 'environment', secretRef: { name: pool, key: 'api-key' } }],
          consumers: [{ namespaceSelector: {} }],
        },
      },
    }));
}
