import { parseObject } from '../../../core/manifest/parse.ts';
import { readProviderPool } from '../../../core/manifest/provider-pool.ts';
import type { Namespace, ProviderPool, VirtualKey } from '../../../core/manifest/types.ts';
import { readVirtualKey } from '../../../core/manifest/virtual-key.ts';
import { apiVersion, type KeyName, keyName, type ObjectKind, type PoolName, poolName } from '../../../core/names.ts';
import type { Problem } from '../../../core/problem.ts';
import type { KubeObject } from '../../kube/types.ts';

/** The manifest in an object of the API server, or its problems. */
export interface Reading<M> {
  /** Null if there are problems. */
  readonly manifest: M | null;
  readonly problems: readonly Problem[];
}

/** The reading of a VirtualKey object. */
export interface KeyReading extends Reading<VirtualKey> {
  /** The suspension and the expiry in the object, even if the rest cannot be read. */
  readonly stops: { readonly suspended: boolean; readonly expiresAtMs?: number };
}

/** The name of a VirtualKey object. */
export function keyOf({ metadata }: KubeObject): KeyName {
  return keyName(metadata.namespace ?? '', metadata.name);
}

/** The name of a ProviderPool object. */
export function poolOf({ metadata }: KubeObject): PoolName {
  return poolName(metadata.namespace ?? '', metadata.name);
}

/** Reads a VirtualKey: its name, its namespace and its spec. The API server owns the rest of the metadata. */
export function readKey(object: KubeObject): KeyReading {
  const name = keyOf(object);
  return { ...parseObject(readVirtualKey, { kind: 'VirtualKey', name }, manifestOf('VirtualKey', object)), stops: stopsOf(object) };
}

/** Reads a ProviderPool, likewise. */
export function readPool(object: KubeObject): Reading<ProviderPool> {
  return parseObject(readProviderPool, { kind: 'ProviderPool', name: poolOf(object) }, manifestOf('ProviderPool', object));
}

/** Reads the labels of a Namespace, which selectors match. */
export function readNamespace({ metadata }: KubeObject): Namespace {
  const { name, labels = {} } = metadata;
  return { kind: 'Namespace', name, labels };
}

function stopsOf({ spec }: KubeObject): KeyReading['stops'] {
  const { suspended, expiresAt } = (spec ?? {}) as { readonly suspended?: unknown; readonly expiresAt?: unknown };
  const expiresAtMs = typeof expiresAt === 'string' ? Date.parse(expiresAt) : Number.NaN;
  return { suspended: suspended === true, ...(!Number.isNaN(expiresAtMs) && { expiresAtMs }) };
}

function manifestOf(kind: ObjectKind, { metadata, spec }: KubeObject): object {
  return { apiVersion, kind, metadata: { name: metadata.name, namespace: metadata.namespace }, spec };
}
