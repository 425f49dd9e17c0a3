import type { KeyName, ObjectRef } from '../../core/names.ts';
import type { KubeObject } from '../kube/types.ts';

/** A watch saw an object. */
export interface ObjectChange {
  /** `put`: it is new or has changed; `gone`: it is deleted or has left the watch. */
  readonly type: 'put' | 'gone';
  readonly object: KubeObject;
  /** Undefined where it is new. */
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
  /** The vault's key ring, or what is wrong with its Secret. */
  readonly keyRing: null;
  /** An adoption changed something for these objects. */
  readonly adoption: readonly ObjectRef[];
  /** Something in the broker, of whatever key. */
  readonly broker: null;
  /** The token or the policy of these keys. */
  readonly tokens: readonly KeyName[];
  /** The proxies of a key. */
  readonly proxies: KeyName;
  /** Spend of these keys that differs from what their status shows; emitted once each refresh, also where there is none. */
  readonly spend: readonly KeyName[];
  /** This replica has begun to lead. */
  readonly leader: null;
}

export type ChangeKind = keyof ChangeKinds;

/** Called with each change, in the turn in which it happens. */
type Listener = <K extends ChangeKind>(kind: K, change: ChangeKinds[K]) => void;

/** Carries changes from whoever sees them to whoever works on them. Made first, so that neither has to know the other. */
export interface Changes {
  readonly emit: Listener;
  subscribe(listener: Listener): void;
}

/** Nobody has subscribed yet; a change without a subscriber is lost. */
export function createChanges(): Changes {
  const listeners: Listener[] = [];
  return {
    emit(kind, change) {
      for (const listener of listeners) listener(kind, change);
    },
    subscribe: (listener) => void listeners.push(listener),
  };
}
