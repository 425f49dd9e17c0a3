import { parseObject } from '../../../core/manifest/parse.ts';
import { readProviderPool } from '../../../core/manifest/provider-pool.ts';
import type { Namespace, ProviderPool, VirtualKey } from '../../../core/manifest/types.ts';
import { readVirtualKey } from '../../../core/manifest/virtual-key.ts';
import { type KeyName, keyName, type ObjectKind, type PoolName, poolName } from '../../../core/names.ts';
import type { Problem } from '../../../core/problem.ts';
import type { KubeObject } from '../../kube/types.ts';

/** A manifest as an object of the API server holds it, or what is wrong with it. */
export interface Reading<M> {
  /** Null where there are problems. */
  readonly manifest: M | null;
  readonly problems: readonly Problem[];
}

/** What was read of a VirtualKey object. */
export interface KeyReading extends Reading<VirtualKey> {
  /** What stops the key, as its object says it, be the rest readable or not. */
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

/** Reads a VirtualKey: its name, its namespace and its spec. The rest of its metadata is the API server's. */
export function readKey(object: KubeObject): KeyReading {
  const name = keyOf(object);
  return { ...parseObject(readVirtualKey, { kind: 'VirtualKey', name }, manifestOf('VirtualKey', object)), stops: stopsOf(object) };
}

/** Reads a ProviderPool, likewise. */
export function readPool(object: KubeObject): Reading<ProviderPool> {
  return parseObject(readProviderPool, { kind: 'ProviderPool', name: poolOf(object) }, manifestOf('ProviderPool', object));
}

/** Reads a Namespace: its labels, which is all that selectors see. */
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
  return { apiVersion: 'keyforge.dev/v1alpha1', kind, metadata: { name: metadata.name, namespace: metadata.namespace }, spec };
}
