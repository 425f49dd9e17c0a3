import type { Problem } from '../../../core/errors.ts';
import { parseManifests } from '../../../core/manifest/parse.ts';
import type { Namespace, ProviderPool, VirtualKey } from '../../../core/manifest/types.ts';
import { type KeyName, keyName, type PoolName, poolName } from '../../../core/names.ts';
import type { KubeObject } from '../../kube/types.ts';

/** A manifest as an object of the API server holds it, or what is wrong with it. */
export interface Reading<M> {
  /** Null where there are problems. */
  readonly manifest: M | null;
  readonly problems: readonly Problem[];
}

/** What was read of a VirtualKey object. */
export interface KeyReading extends Reading<VirtualKey> {
  /** What stops the key, as it says it itself, be the rest readable or not. */
  readonly stops: { readonly suspended: boolean; readonly expiresAtMs?: number };
}

/** `VirtualKey agents/bot`: where the problems of an object are told, and its id among all objects. */
export function idOf(kind: 'VirtualKey' | 'ProviderPool', name: KeyName | PoolName): string {
  return `${kind} ${name}`;
}

/** The name of a VirtualKey object. */
export function keyOf({ metadata }: KubeObject): KeyName {
  return keyName(metadata.namespace ?? '', metadata.name);
}

/** The name of a ProviderPool object. */
export function poolOf({ metadata }: KubeObject): PoolName {
  return poolName(metadata.namespace ?? '', metadata.name);
}

/** Reads a VirtualKey. Of its metadata name and namespace alone: what else stands there is the API server's. */
export function readKey(object: KubeObject): KeyReading {
  const { manifests, problems } = read('VirtualKey', keyOf(object), object);
  return { manifest: manifests.virtualKeys[0] ?? null, problems, stops: stopsOf(object) };
}

/** Reads a ProviderPool, likewise. */
export function readPool(object: KubeObject): Reading<ProviderPool> {
  const { manifests, problems } = read('ProviderPool', poolOf(object), object);
  return { manifest: manifests.pools[0] ?? null, problems };
}

/** Reads a Namespace: its labels, which is all that selectors see. */
export function readNamespace({ metadata }: KubeObject): Namespace {
  const { name, labels = {} } = metadata;
  return { kind: 'Namespace', name, labels, origin: { file: `Namespace ${name}`, line: 1 } };
}

function stopsOf({ spec }: KubeObject): KeyReading['stops'] {
  const { suspended, expiresAt } = (spec ?? {}) as { readonly suspended?: unknown; readonly expiresAt?: unknown };
  const expiresAtMs = typeof expiresAt === 'string' ? Date.parse(expiresAt) : Number.NaN;
  return { suspended: suspended === true, ...(!Number.isNaN(expiresAtMs) && { expiresAtMs }) };
}

function read(kind: 'VirtualKey' | 'ProviderPool', name: KeyName | PoolName, object: KubeObject): ReturnType<typeof parseManifests> {
  const { metadata, spec } = object;
  const value = { apiVersion: 'keyforge.dev/v1alpha1', kind, metadata: { name: metadata.name, namespace: metadata.namespace }, spec };
  return parseManifests([{ file: idOf(kind, name), line: 1, value, lineOf: () => undefined }]);
}
