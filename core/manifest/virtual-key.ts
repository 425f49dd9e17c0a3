import { defined, isObject } from '../json.ts';
import { keyName, poolName } from '../names.ts';
import { customObject, namespaceSelector } from './kubernetes-object.ts';
import { dnsName, modelName, modelPattern, reference, routeTemplate } from './names.ts';
import { count, duration, instant, positiveDuration, positiveUsd, timeZone, usd } from './quantity.ts';
import { distinctList, flag, list, object, oneOf, type Place, type Read, record, shortText } from './reader.ts';
import { emptySpec, type Limit, type VirtualKey, type VirtualKeySpec, windowKinds } from './types.ts';

const limitFields = object({ window: oneOf(windowKinds) }, { usd, requests: count, timeZone });

function limit(value: unknown, at: Place): Limit | undefined {
  const fields = limitFields(value, at);
  if (fields === undefined) return undefined;
  const { usd: usdNano, window, ...rest } = fields;
  if (usdNano === undefined && rest.requests === undefined) {
    return at.report(`${at.label} limits nothing; give it usd, requests or both`);
  }
  // The order of these fields is that of policy.json.
  return { timeZone: 'Etc/UTC', ...rest, window, ...defined({ usdNano }) };
}

function limits(value: unknown, at: Place): readonly Limit[] | undefined {
  const seen = new Set<string>();
  return list((entry, place) => {
    const read = limit(entry, place);
    if (read === undefined) return undefined;
    if (seen.has(read.window)) return place.report(`${place.label} is a second limit for window ${read.window}; keep one item a window`);
    seen.add(read.window);
    return read;
  })(value, at);
}

const perRequestFields = object({}, { usd: positiveUsd, outputTokens: count });

function perRequest(value: unknown, at: Place): VirtualKeySpec['perRequest'] | undefined {
  const fields = perRequestFields(value, at);
  if (fields === undefined) return undefined;
  const { usd: usdNano, ...rest } = fields;
  return { ...rest, ...defined({ usdNano }) };
}

const runFields = object({}, { scope: oneOf(['Pod', 'Job'] as const), usd, ttl: positiveDuration });

function run(value: unknown, at: Place): VirtualKeySpec['run'] | undefined {
  const fields = runFields(value, at);
  if (fields === undefined) return undefined;
  const { usd: usdNano, ttl: ttlMs, ...scope } = fields;
  return { ...scope, ...defined({ usdNano, ttlMs }) };
}

const rotationFields = object({ every: positiveDuration, overlap: duration }, {});

function rotation(value: unknown, at: Place): VirtualKeySpec['rotation'] | undefined {
  const fields = rotationFields(value, at);
  if (fields === undefined) return undefined;
  if (fields.overlap >= fields.every) return at.at('overlap').report('overlap must be shorter than every');
  return { everyMs: fields.every, overlapMs: fields.overlap };
}

function specFields(namespace: string) {
  return object(
    {},
    {
      owner: record(shortText, 32),
      labels: record(shortText, 32),
      parentRef: reference(namespace, keyName),
      children: object({ namespaceSelector }, {}),
      issueToken: flag,
      pools: distinctList(reference(namespace, poolName), (pool) => pool, 32),
      models: object({}, { allow: list(modelPattern, 256), deny: list(modelPattern, 256), aliases: record(modelName, 64) }),
      endpoints: object({ allow: list(routeTemplate, 64) }, {}),
      limits,
      rate: object({}, { requestsPerMinute: count, tokensPerMinute: count, concurrentCalls: count }),
      perRequest,
      expiresAt: instant,
      ttl: positiveDuration,
      suspended: flag,
      run,
      delegation: object({ maxDepth: count, maxChildren: count }, {}),
      delivery: distinctList(oneOf(['Sidecar', 'Gateway'] as const), (place) => place),
      rotation,
      secretName: dnsName,
    },
  );
}

function specIn(namespace: string): Read<VirtualKeySpec> {
  const read = specFields(namespace);
  return (value, at) => {
    const fields = read(value, at);
    // Look at the raw value, not at the parsed one, so that this is reported with every other problem of the spec.
    if (isObject(value) && 'expiresAt' in value && 'ttl' in value) {
      return at.at('ttl').report('ttl and expiresAt are both given; keep one');
    }
    if (fields === undefined) return undefined;
    const { expiresAt: expiresAtMs, ttl: ttlMs, models, ...rest } = fields;
    return { ...emptySpec, ...rest, models: { ...emptySpec.models, ...models }, ...defined({ expiresAtMs, ttlMs }) };
  };
}

const virtualKey = customObject(specIn);

/** Reads a whole VirtualKey document. */
export function readVirtualKey(value: unknown, at: Place): VirtualKey | undefined {
  const fields = virtualKey(value, at);
  return fields && { kind: 'VirtualKey', name: keyName(fields.namespace, fields.name), spec: fields.spec };
}

/** Reads a document without `kind`: the spec of a VirtualKey in namespace `default`, named after its file. */
export function readPolicy(file: string): Read<VirtualKey> {
  return (value, at) => {
    const spec = specIn('default')(value, at);
    return spec && { kind: 'VirtualKey', name: keyName('default', nameOfFile(file)), spec };
  };
}

function nameOfFile(file: string): string {
  const base = file.split(/[/\\]/).at(-1) ?? '';
  const stem = base.replace(/(?:\.policy)?\.(?:ya?ml|json)$/i, '').toLowerCase();
  const label = stem
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replace(/^-|-$/g, '');
  return label === '' ? 'agent' : label;
}
