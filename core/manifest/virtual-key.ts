import { type KeyName, keyName, type PoolName } from '../names.ts';
import { limits } from './limits.ts';
import { metadata, namespaceSelector } from './metadata.ts';
import { dnsName, modelName, modelPattern, reference, routeTemplate } from './names.ts';
import { count, duration, instant, positiveDuration, positiveUsd, usd } from './quantity.ts';
import { distinctList, flag, ignored, list, object, oneOf, type Place, type Read, record, shortText } from './reader.ts';
import type { Origin, VirtualKey, VirtualKeySpec } from './types.ts';

const models = object({ allow: list(modelPattern, 256), deny: list(modelPattern, 256), aliases: record(modelName, 64) });

function children(value: unknown, at: Place): VirtualKeySpec['children'] | undefined {
  const fields = object({ namespaceSelector }, ['namespaceSelector'])(value, at);
  return fields?.namespaceSelector && { namespaceSelector: fields.namespaceSelector };
}

function endpoints(value: unknown, at: Place): VirtualKeySpec['endpoints'] | undefined {
  const fields = object({ allow: list(routeTemplate, 64) }, ['allow'])(value, at);
  return fields?.allow && { allow: fields.allow };
}

function perRequest(value: unknown, at: Place): VirtualKeySpec['perRequest'] | undefined {
  const fields = object({ usd: positiveUsd, outputTokens: count })(value, at);
  if (fields === undefined) return undefined;
  const { usd: usdNano, ...rest } = fields;
  return { ...rest, ...(usdNano !== undefined && { usdNano }) };
}

function run(value: unknown, at: Place): VirtualKeySpec['run'] | undefined {
  const fields = object({ scope: oneOf(['Pod', 'Job'] as const), usd, ttl: positiveDuration })(value, at);
  if (fields === undefined) return undefined;
  const { usd: usdNano, ttl: ttlMs, ...scope } = fields;
  return { ...scope, ...(usdNano !== undefined && { usdNano }), ...(ttlMs !== undefined && { ttlMs }) };
}

function delegation(value: unknown, at: Place): VirtualKeySpec['delegation'] | undefined {
  const fields = object({ maxDepth: count, maxChildren: count }, ['maxDepth', 'maxChildren'])(value, at);
  if (fields?.maxDepth === undefined || fields.maxChildren === undefined) return undefined;
  return { maxDepth: fields.maxDepth, maxChildren: fields.maxChildren };
}

function rotation(value: unknown, at: Place): VirtualKeySpec['rotation'] | undefined {
  const fields = object({ every: positiveDuration, overlap: duration }, ['every', 'overlap'])(value, at);
  if (fields?.every === undefined || fields.overlap === undefined) return undefined;
  if (fields.overlap >= fields.every) return at.at('overlap').report('overlap must be shorter than every');
  return { everyMs: fields.every, overlapMs: fields.overlap };
}

function specFields(namespace: string) {
  return object({
    owner: record(shortText, 32),
    labels: record(shortText, 32),
    parentRef: reference<KeyName>(namespace),
    children,
    issueToken: flag,
    pools: distinctList(reference<PoolName>(namespace), (pool) => pool, 32),
    models,
    endpoints,
    limits,
    rate: object({ requestsPerMinute: count, tokensPerMinute: count }),
    perRequest,
    expiresAt: instant,
    ttl: positiveDuration,
    suspended: flag,
    run,
    delegation,
    delivery: distinctList(oneOf(['Sidecar', 'Gateway'] as const), (place) => place),
    rotation,
    secretName: dnsName,
  });
}

function spec(namespace: string): Read<VirtualKeySpec> {
  const read = specFields(namespace);
  return (value, at) => {
    const fields = read(value, at);
    if (fields === undefined) return undefined;
    const { expiresAt: expiresAtMs, ttl: ttlMs, models: given, ...rest } = fields;
    if (expiresAtMs !== undefined && ttlMs !== undefined) at.at('ttl').report('ttl and expiresAt are both given; keep one');
    return {
      owner: {},
      labels: {},
      issueToken: true,
      limits: [],
      rate: {},
      perRequest: {},
      suspended: false,
      delivery: ['Sidecar'],
      ...rest,
      models: { deny: [], aliases: {}, ...given },
      ...(expiresAtMs !== undefined && { expiresAtMs }),
      ...(ttlMs !== undefined && { ttlMs }),
    };
  };
}

/** Reads a whole VirtualKey document. */
export function readVirtualKey(value: unknown, at: Place, origin: Origin): VirtualKey | undefined {
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
  return read && { kind: 'VirtualKey', name: keyName(namespace, name), origin, spec: read };
}

/** Reads a document without `kind`: the spec of a VirtualKey in namespace `default`, named after its file. */
export function readPolicy(value: unknown, at: Place, origin: Origin): VirtualKey | undefined {
  const read = spec('default')(value, at);
  return read && { kind: 'VirtualKey', name: keyName('default', nameOfFile(origin.file)), origin, spec: read };
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
