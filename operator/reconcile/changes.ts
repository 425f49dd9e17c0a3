import type { KeyName, ObjectRef } from '../../core/names.ts';
import type { KubeObject } from '../kube/types.ts';

/** A watch saw an object. */
export interface ObjectChange {
  /** `put`: the object is new or has changed. `gone`: it is deleted or has left the watch. */
  readonly type: 'put' | 'gone';
  readonly object: KubeObject;
  /** Undefined if the object is new. */
  readonly previous: KubeObject | undefined;
}

/** Everything that may mean work for the controllers. */
export interface ChangeKinds {
  readonly virtualKey: ObjectChange;
  readonly providerPool: ObjectChange;
  readonly namespace: ObjectChange;
  /** A vault Secret: sealed credentials. */
  readonly vault: ObjectChange;
  /** The metadata of a Secret in the operator's or a pool namespace. */
  readonly secret: ObjectChange;
  /** The vault's key ring, or the problem of its Secret. */
  readonly keyRing: null;
  /** Objects for which an adoption changed something. */
  readonly adoption: readonly ObjectRef[];
  /** Something in the broker, for any key. */
  readonly broker: null;
  /** Keys whose token or policy changed. */
  readonly tokens: readonly KeyName[];
  /** A key whose proxies changed. */
  readonly proxies: KeyName;
  /** Keys whose spend differs from their status; emitted once each refresh, even if there are none. */
  readonly spend: readonly KeyName[];
  /** This replica has begun to lead. */
  readonly leader: null;
}

export type ChangeKind = keyof ChangeKinds;

/** Called with each change, in the turn in which it happens. */
type Listener = <K extends ChangeKind>(kind: K, change: ChangeKinds[K]) => void;

/** Carries changes from their sources to their consumers. Made first, so that neither depends on the other. */
export interface Changes {
  readonly emit: Listener;
  subscribe(listener: Listener): void;
}

/** Makes a carrier without subscribers; a change without a subscriber is lost. */
export function createChanges(): Changes {
  const listeners: Listener[] = [];
  return {
    emit(kind, change) {
      for (const listener of listeners) listener(kind, change);
    },
    subscribe: (listener) => void listeners.push(listener),
  };
}
