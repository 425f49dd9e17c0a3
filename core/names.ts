import { hash } from 'node:crypto';

/** The API version of KeyForge's own kinds. */
export const apiVersion = 'keyforge.dev/v1alpha1';

/** `namespace/name` of a VirtualKey, or of a sub-agent key or run below one: `namespace/name.child`. */
export type KeyName = string & { readonly brand: 'KeyName' };

/** `namespace/name` of a ProviderPool. */
export type PoolName = string & { readonly brand: 'PoolName' };

/** Lower-case hexadecimal SHA-256 of a whole token. Ledger, documents and entries hold this instead of the token. */
export type TokenId = string & { readonly brand: 'TokenId' };

/** `namespace/name@instance`: one VirtualKey in one proxy. Its epochs follow each other. */
export type StreamId = string & { readonly brand: 'StreamId' };

/** `<incarnation of the store>.<24 hexadecimal digits>`. */
export type GrantId = string & { readonly brand: 'GrantId' };

/** One epoch of a stream, as the key of a map. */
export type EpochId = string & { readonly brand: 'EpochId' };

/** One epoch of a stream: 1, 2, 3…, a new one each process start. */
export interface EpochRef {
  readonly stream: StreamId;
  readonly epoch: number;
}

export const objectKinds = ['VirtualKey', 'ProviderPool', 'Namespace', 'Secret'] as const;
export type ObjectKind = (typeof objectKinds)[number];

/** A manifest's object. `name` is `namespace/name`; of a Namespace the name alone. */
export interface ObjectRef {
  readonly kind: ObjectKind;
  readonly name: string;
}

/** An object as the key of a map and in messages: `VirtualKey agents/bot`. */
export type ObjectId = string & { readonly brand: 'ObjectId' };

/** Joins the two parts of a key's name. */
export function keyName(namespace: string, name: string): KeyName {
  return `${namespace}/${name}` as KeyName;
}

/** The name of a key below another one, in its parent's namespace. */
export function childKeyName(parent: KeyName, child: string): KeyName {
  return `${parent}.${child}` as KeyName;
}

/** The last part of a sub-agent key's name: what follows the last dot. */
export function childPartOf(key: KeyName): string {
  return key.slice(key.lastIndexOf('.') + 1);
}

/** True for text that can be the name of a key; says nothing of whether the key exists. */
export function isKeyName(text: string): text is KeyName {
  return /^[-a-z0-9]{1,63}\/[-.a-z0-9]{1,253}$/.test(text);
}

/** Joins the two parts of a pool's name. */
export function poolName(namespace: string, name: string): PoolName {
  return `${namespace}/${name}` as PoolName;
}

/** The two parts of `namespace/name`. */
export function partsOf(name: KeyName | PoolName): { readonly namespace: string; readonly name: string } {
  const at = name.indexOf('/');
  return { namespace: name.slice(0, at), name: name.slice(at + 1) };
}

/** The namespace of a key or pool. */
export function namespaceOf(name: KeyName | PoolName): string {
  return name.slice(0, name.indexOf('/'));
}

/** The id by which a token is looked up. */
export function tokenId(token: string): TokenId {
  return hash('sha256', token) as TokenId;
}

/** The operator's own stream has this in place of a key; no VirtualKey has a name without a namespace. */
export const operatorKey: KeyName = 'operator' as KeyName;

/** The stream of a key in one proxy; neither name can hold an `@`. */
export function streamId(key: KeyName, instance: string): StreamId {
  return `${key}@${instance}` as StreamId;
}

/** The key whose calls a stream records. */
export function keyOfStream(stream: StreamId): KeyName {
  return stream.slice(0, stream.indexOf('@')) as KeyName;
}

/** The stream that holds a sub-agent key's escrow; nothing is ever recorded in it. */
export function escrowStream(child: KeyName): StreamId {
  return `escrow:${child}` as StreamId;
}

/** An epoch as the key of a map. */
export function epochId({ stream, epoch }: EpochRef): EpochId {
  return `${stream} ${epoch}` as EpochId;
}

/** A grant's id: the store's incarnation and 96 bits of its idempotency key, so that a request sent twice books one grant. */
export function grantId(incarnation: string, askId: string): GrantId {
  return `${incarnation}.${hash('sha256', askId).slice(0, 24)}` as GrantId;
}

/** An object as the key of a map. */
export function objectId({ kind, name }: ObjectRef): ObjectId {
  return `${kind} ${name}` as ObjectId;
}

/** Takes an object's id apart. */
export function objectRef(id: ObjectId): ObjectRef {
  const at = id.indexOf(' ');
  const kind = objectKinds.find((known) => known === id.slice(0, at));
  if (kind === undefined) throw new RangeError(`${id} names no object`);
  return { kind, name: id.slice(at + 1) };
}

/** A stream's id from our own spool, store or peer, taken on trust. */
export function storedStream(text: string): StreamId {
  return text as StreamId;
}

/** A key's name from our own store or peer, taken on trust. */
export function storedKey(text: string): KeyName {
  return text as KeyName;
}

/** A pool's name from our own objects and queues, taken on trust. */
export function storedPool(text: string): PoolName {
  return text as PoolName;
}
