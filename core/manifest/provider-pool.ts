import { defined, isObject } from '../json.ts';
import { keyName, poolName } from '../names.ts';
import { customObject, namespaceSelector } from './kubernetes-object.ts';
import { dnsName, modelName, reference, secretItem } from './names.ts';
import { type ProviderKind, providerKinds, providers, servedKinds } from './providers.ts';
import { count, positiveDuration, usdPerMillion, usdPerThousand } from './quantity.ts';
import { distinctList, flag, list, object, oneOf, type Place, type Read, shortText, text } from './reader.ts';
import { disconnectActions, type PoolKey, type PoolModel, type PoolTimeouts, type ProviderPool } from './types.ts';

function provider(value: unknown, at: Place): ProviderKind | undefined {
  const kind = oneOf(providerKinds)(value, at);
  if (kind === undefined || servedKinds.includes(kind)) return kind;
  return at.report(`${at.label} ${kind} is not served by this version; served: ${servedKinds.join(', ')}`);
}

// The same as in crds/providerpools.yaml: stricter than URL.parse, which takes "https:host" and backslashes.
const plainUrl = /^https?:\/\/(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?(?:\/[^?#\s\\]*)?$/i;

function endpoint(value: unknown, at: Place): string | undefined {
  const given = text(value, at);
  if (given === undefined) return undefined;
  const url = plainUrl.test(given) ? URL.parse(given) : null;
  // The message does not repeat the value: a URL with a user part carries a password.
  if (url === null) return at.report(`${at.label} must be an absolute http or https URL without user, query or fragment`);
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}

const keyFields = object({ name: dnsName, secretRef: object({ name: dnsName, key: secretItem }, {}) }, { quotaScope: shortText });

function poolKey(value: unknown, at: Place): PoolKey | undefined {
  const fields = keyFields(value, at);
  return fields && { ...fields, quotaScope: fields.quotaScope ?? fields.name };
}

const price = object(
  { input: usdPerMillion, output: usdPerMillion },
  {
    cachedInput: usdPerMillion,
    cacheWrite: usdPerMillion,
    reasoning: usdPerMillion,
    inputAudio: usdPerMillion,
    inputImage: usdPerMillion,
    inputVideo: usdPerMillion,
    outputAudio: usdPerMillion,
    outputImage: usdPerMillion,
  },
);

const perThousand = object(
  {},
  {
    request: usdPerThousand,
    webSearch: usdPerThousand,
    webSearchPreview: usdPerThousand,
    groundedPrompt: usdPerThousand,
    mapsPrompt: usdPerThousand,
    fileSearch: usdPerThousand,
    container: usdPerThousand,
  },
);

const modelFields = object(
  { name: modelName },
  { upstreamName: modelName, maxOutputTokens: count, contextTokens: count, pricePerMillion: price, pricePerThousand: perThousand },
);

function poolModel(value: unknown, at: Place): PoolModel | undefined {
  const fields = modelFields(value, at);
  if (fields === undefined) return undefined;
  const { name, upstreamName = name, pricePerMillion, pricePerThousand, ...rest } = fields;
  return { name, upstreamName, ...rest, ...defined({ price: pricePerMillion, fees: pricePerThousand }) };
}

function fieldName(value: unknown, at: Place): string | undefined {
  const name = text(value, at);
  if (name === undefined || /^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(name)) return name;
  return at.report(`${at.label} must be the name of a body field: letters, digits and "_", at most 128`);
}

/** Timers of Node end at 24.8 days; nothing needs so long. */
const longestWaitMs = 86_400_000;

function wait(value: unknown, at: Place): number | undefined {
  const ms = positiveDuration(value, at);
  return ms === undefined || ms <= longestWaitMs ? ms : at.report(`${at.label} must be at most 24h`);
}

const timeoutFields = object({}, { connect: wait, firstByte: wait, idle: wait });

function timeouts(value: unknown, at: Place): PoolTimeouts | undefined {
  const fields = timeoutFields(value, at);
  return fields && defined({ connectMs: fields.connect, firstByteMs: fields.firstByte, idleMs: fields.idle });
}

const mostConnections = 10_000;

function connections(value: unknown, at: Place): number | undefined {
  const given = count(value, at);
  return given === undefined || given <= mostConnections ? given : at.report(`${at.label} must be at most ${mostConnections}`);
}

function specIn(namespace: string): Read<Omit<ProviderPool, 'kind' | 'name' | 'origin'>> {
  const read = object(
    { provider, keys: distinctList(poolKey, (key) => key.name, 256) },
    {
      endpoint,
      consumers: list(object({ namespaceSelector }, { under: reference(namespace, keyName) }), 64),
      models: distinctList(poolModel, (model) => model.name, 256),
      freeErrors: flag,
      countable: flag,
      freeFields: distinctList(fieldName, (name) => name, 256),
      timeouts,
      onDisconnect: oneOf(disconnectActions),
      maxConnections: connections,
      sseKeepAlive: wait,
    },
  );
  return (value, at) => {
    const fields = read(value, at);
    // Look at the raw value, not at the parsed one, so that this is reported with every other problem of the spec.
    const given = isObject(value) ? value : {};
    const kind = servedKinds.find((each) => each === given['provider']);
    if (kind !== undefined && providers[kind].endpoint === null && !('endpoint' in given)) {
      return at.at('endpoint').report(`endpoint is required for ${kind}, which has no default`);
    }
    if (fields === undefined) return undefined;
    const { sseKeepAlive, ...rest } = fields;
    return { consumers: [], models: [], freeFields: [], ...rest, ...defined({ sseKeepAliveMs: sseKeepAlive }) };
  };
}

const providerPool = customObject(specIn);

/** Reads a whole ProviderPool document. */
export function readProviderPool(value: unknown, at: Place): ProviderPool | undefined {
  const fields = providerPool(value, at);
  return fields && { kind: 'ProviderPool', name: poolName(fields.namespace, fields.name), ...fields.spec };
}
