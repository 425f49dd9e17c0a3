import { type KeyName, keyOfStream, type StreamId } from '../../core/names.ts';
import type { ControlPort } from '../../core/protocol/control.ts';
import type { ShipReply, ShipRequest } from '../../core/protocol/evidence.ts';
import type { Push, Snapshot } from '../../core/protocol/snapshot.ts';
import type { Live, Registry } from '../keys/registry.ts';
import type { Runs } from '../keys/runs.ts';
import type { Tx } from '../store/types.ts';
import type { Scope } from './scope.ts';
import { signatureOf, snapshotFor } from './snapshot.ts';

/** What sessions hear of: `policy` stands for a new live state. */
export type Notice = 'policy' | Exclude<Push, { kind: 'snapshot' }>;

export interface SessionDeps {
  /** The port that sees and does everything. */
  readonly whole: ControlPort;
  /** Ships once every stream among the entries has passed `check`, which throws. */
  ship(ask: ShipRequest, check: (stream: StreamId) => void): Promise<ShipReply>;
  readonly registry: Registry;
  readonly runs: Pick<Runs, 'awaits'>;
  /** True where this proxy has a stream of that key, though the key may be gone. */
  hasStream(tx: Tx, key: KeyName, instance: string): boolean;
  /** Calls back now, where a policy is served, and with each change; returns how to stop. */
  subscribe(listener: (notice: Notice) => void): () => void;
}

/** A call for a key or a stream that is not this proxy's. */
export class OutOfScope extends Error {
  override readonly name = 'OutOfScope';
}

/** The control port as one attested proxy may use it: its own keys, its own streams. */
export function scopedPort(scope: Exclude<Scope, { kind: 'standalone' }>, deps: SessionDeps): ControlPort {
  const { whole, registry } = deps;
  const { instance } = scope;

  let last: { readonly of: Live; readonly snapshot: Snapshot } | null = null;

  /** Made once for each live state: every call asks whose key it is. */
  function snapshot(of: Live): Snapshot {
    if (last?.of !== of) last = { of, snapshot: snapshotFor(of, scope) };
    return last.snapshot;
  }

  function serves(key: KeyName): boolean {
    const live = registry.live();
    return live !== null && snapshot(live).keys.some(({ document }) => document.key === key);
  }

  function demand(key: KeyName): void {
    if (!serves(key)) throw new OutOfScope(`${instance} does not serve ${key}`);
  }

  function demandStream(stream: string): void {
    if (!stream.endsWith(`@${instance}`)) throw new OutOfScope(`${stream} is not a stream of ${instance}`);
  }

  return {
    async open(ask) {
      if (ask.instance !== instance) throw new OutOfScope(`${instance} asks in the name of ${ask.instance}`);
      if (!serves(ask.key) && !registry.read((tx) => deps.hasStream(tx, ask.key, instance))) demand(ask.key);
      return whole.open(ask);
    },
    ship: (ask) => deps.ship(ask, demandStream),
    async grant(ask) {
      demandStream(ask.stream);
      demand(keyOfStream(ask.stream));
      return whole.grant(ask);
    },
    async account(key) {
      demand(key);
      return whole.account(key);
    },
    async mint(parent, spec) {
      demand(parent);
      return whole.mint(parent, spec);
    },
    async children(parent) {
      demand(parent);
      return whole.children(parent);
    },
    async unmint(parent, child) {
      demand(parent);
      return whole.unmint(parent, child);
    },
    watch(listener) {
      let told = '';
      return deps.subscribe((notice) => {
        if (notice !== 'policy') {
          const keys = notice.keys.filter(serves);
          if (keys.length > 0) listener({ kind: 'recall', keys });
          return;
        }
        const live = registry.live();
        // A run's key is made when its first proxy comes, or when the key's manifest begins to ask for runs.
        if (live === null || deps.runs.awaits(scope)) return;
        const now = snapshot(live);
        const signature = signatureOf(now);
        if (signature === told) return;
        told = signature;
        listener(now);
      });
    },
  };
}
