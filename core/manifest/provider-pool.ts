import { type KeyName, poolName } from '../names.ts';
import { metadata, namespaceSelector } from './metadata.ts';
import { dnsName, modelName, reference, secretItem } from './names.ts';
import { defaultEndpoints, unserved } from './providers.ts';
import { count, usdPerMillion } from './quantity.ts';
import { distinctList, ignored, list, object, oneOf, type Place, type Read, shortText, text } from './reader.ts';
import {
  type Origin,
  type PoolConsumer,
  type PoolKey,
  type PoolModel,
  type PoolModelPrice,
  type ProviderKind,
  type ProviderPool,
  providerKinds,
} from './types.ts';

const servedKinds = providerKinds.filter((kind) => !unserved.has(kind));

function provider(value: unknown, at: Place): ProviderKind | undefined {
  const kind = oneOf(providerKinds)(value, at);
  if (kind === undefined || !unserved.has(kind)) return kind;
  return at.report(`${at.label} ${kind} is not served by this version; served: ${servedKinds.join(', ')}`);
}

// The same as in crds/providerpools.yaml: stricter than URL.parse, which takes "https:host" and backslashes.
const plainUrl = /^https?:\/\/(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?(?:\/[^?#\s\\]*)?$/i;

function endpoint(value: unknown, at: Place): string | undefined {
  const given = text(value, at);
  if (given === undefined) return undefined;
  const url = plainUrl.test(given) ? URL.parse(given) : null;
  // The value is not repeated: a URL with a user part carries a password.
  if (url === null) return at.report(`${at.label} must be an absolute http or https URL without user, query or fragment`);
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}

const secretRef = object({ name: dnsName, key: secretItem }, ['name', 'key']);
const keyFields = object(
  {
    name: dnsName,
    secretRef: (value, at) => {
      const fields = secretRef(value, at);
      return fields?.name === undefined || fields.key === undefined ? undefined : { name: fields.name, key: fields.key };
    },
    quotaScope: shortText,
  },
  ['name', 'secretRef'],
);

function poolKey(value: unknown, at: Place): PoolKey | undefined {
  const fields = keyFields(value, at);
  if (fields?.name === undefined || fields.secretRef === undefined) return undefined;
  return { name: fields.name, secretRef: fields.secretRef, quotaScope: fields.quotaScope ?? fields.name };
}

function consumer(ownNamespace: string): Read<PoolConsumer> {
  const read = object({ namespaceSelector, under: reference<KeyName>(ownNamespace) }, ['namespaceSelector']);
  return (value, at) => {
    const fields = read(value, at);
    return fields?.namespaceSelector && { ...fields, namespaceSelector: fields.namespaceSelector };
  };
}

const priceFields = object(
  { input: usdPerMillion, output: usdPerMillion, cachedInput: usdPerMillion, cacheWrite: usdPerMillion, reasoning: usdPerMillion },
  ['input', 'output'],
);

function price(value: unknown, at: Place): PoolModelPrice | undefined {
  const fields = priceFields(value, at);
  if (fields?.input === undefined || fields.output === undefined) return undefined;
  return { ...fields, input: fields.input, output: fields.output };
}

const modelFields = object({ name: modelName, upstreamName: modelName, maxOutputTokens: count, pricePerMillion: price }, ['name']);

function poolModel(value: unknown, at: Place): PoolModel | undefined {
  const fields = modelFields(value, at);
  if (fields?.name === undefined) return undefined;
  const { name, upstreamName = name, pricePerMillion, ...maximum } = fields;
  return { name, upstreamName, ...maximum, ...(pricePerMillion && { price: pricePerMillion }) };
}

function spec(ownNamespace: string): Read<Omit<ProviderPool, 'kind' | 'name' | 'origin'>> {
  const read = object(
    {
      provider,
      endpoint,
      keys: distinctList(poolKey, (key) => key.name, 256),
      consumers: list(consumer(ownNamespace), 64),
      models: distinctList(poolModel, (model) => model.name, 256),
    },
    ['provider', 'keys'],
  );
  return (value, at) => {
    const fields = read(value, at);
    if (fields?.provider === undefined) return undefined;
    if (defaultEndpoints[fields.provider] === null && fields.endpoint === undefined) {
      at.at('endpoint').report(`endpoint is required for ${fields.provider}, which has no default`);
    }
    return { keys: [], consumers: [], models: [], ...fields, provider: fields.provider };
  };
}

/** Reads a whole ProviderPool document. */
export function readProviderPool(value: unknown, at: Place, origin: Origin): ProviderPool | undefined {
  const envelope = object(
    {
      apiVersion: oneOf(['keyforge.dev/v1alpha1']),
      kind: ignored,
      metadata,
      spec: (spec: unknown) => ({ value: spec }),
      status: ignored,
    },
    ['metadata', 'spec'],
  )(value, at);
  const { namespace, name } = envelope?.metadata ?? { namespace: 'default', name: '' };
  const read = envelope?.spec && spec(namespace)(envelope.spec.value, at.at('spec'));
  return read && { kind: 'ProviderPool', name: poolName(namespace, name), origin, ...read };
}
