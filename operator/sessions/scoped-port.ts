import { type KeyName, keyOfStream, type StreamId, streamId } from '../../core/names.ts';
import type { ChildSpec, ChildView, MintReply } from '../../core/protocol/children.ts';
import type { ControlPort } from '../../core/protocol/control.ts';
import type { OpenReply, OpenRequest, ShipReply, ShipRequest } from '../../core/protocol/evidence.ts';
import type { AccountView, GrantReply, GrantRequest } from '../../core/protocol/money.ts';
import type { Push, Snapshot } from '../../core/protocol/snapshot.ts';
import type { LiveState } from '../keys/live-state.ts';
import type { Registry } from '../keys/registry.ts';
import type { Runs } from '../keys/runs.ts';
import type { Tx } from '../store/types.ts';
import type { Notice } from './notices.ts';
import type { AttestedScope } from './scope.ts';
import { signatureOf, snapshotFor } from './snapshot.ts';

/** The broker's parts that scoped ports need. */
export interface ScopedPortDeps {
  /** The port without restrictions. */
  readonly whole: ControlPort;
  /** Ships after every stream among the entries has passed `check`, which throws. */
  ship(request: ShipRequest, check: (stream: StreamId) => void): Promise<ShipReply>;
  readonly registry: Pick<Registry, 'live' | 'read'>;
  readonly runs: Pick<Runs, 'awaits'>;
  /** True if this proxy has a stream of that key, even if the key is deleted. */
  hasStream(tx: Tx, key: KeyName, instance: string): boolean;
  /** Calls back now, if a policy is adopted, and with each change; returns a function that stops. */
  subscribe(listener: (notice: Notice) => void): () => void;
}

/** A call for a key or a stream that is not this proxy's. */
class OutOfScope extends Error {
  override readonly name = 'OutOfScope';
}

/** The control port of one attested proxy, for its own keys and streams only. Each method is async, so that it rejects. */
export class ScopedPort implements ControlPort {
  readonly #scope: AttestedScope;
  readonly #deps: ScopedPortDeps;
  #last: { readonly of: LiveState; readonly snapshot: Snapshot } | null = null;

  constructor(scope: AttestedScope, deps: ScopedPortDeps) {
    this.#scope = scope;
    this.#deps = deps;
  }

  async open(request: OpenRequest): Promise<OpenReply> {
    const { whole, registry, hasStream } = this.#deps;
    const { instance } = this.#scope;
    const { key } = request;
    if (request.instance !== instance) throw new OutOfScope(`${instance} opens a stream in the name of ${request.instance}`);
    if (!this.#isMine(key) && !registry.read((tx) => hasStream(tx, key, instance))) throw this.#outOfScope(key);
    return whole.open(request);
  }

  async ship(request: ShipRequest): Promise<ShipReply> {
    return this.#deps.ship(request, (stream) => this.#demandStream(stream));
  }

  async grant(request: GrantRequest, signal?: AbortSignal): Promise<GrantReply> {
    this.#demandStream(request.stream);
    this.#demand(keyOfStream(request.stream));
    return this.#deps.whole.grant(request, signal);
  }

  async account(key: KeyName): Promise<AccountView> {
    this.#demand(key);
    return this.#deps.whole.account(key);
  }

  async answerTokens(key: KeyName, answerSha256: string): Promise<number | null> {
    this.#demand(key);
    return this.#deps.whole.answerTokens(key, answerSha256);
  }

  async mint(parent: KeyName, spec: ChildSpec): Promise<MintReply> {
    this.#demand(parent);
    return this.#deps.whole.mint(parent, spec);
  }

  async children(parent: KeyName): Promise<readonly ChildView[]> {
    this.#demand(parent);
    return this.#deps.whole.children(parent);
  }

  async unmint(parent: KeyName, child: KeyName): Promise<boolean> {
    this.#demand(parent);
    return this.#deps.whole.unmint(parent, child);
  }

  /** Pushes the snapshot now and after each change of it, and recalls of this proxy's own keys. */
  watch(listener: (push: Push) => void): () => void {
    const { registry, runs, subscribe } = this.#deps;
    let pushed = '';
    return subscribe((notice) => {
      if (notice !== 'policy') {
        const keys = notice.keys.filter((key) => this.#isMine(key));
        if (keys.length > 0) listener({ ...notice, keys });
        return;
      }
      const live = registry.live();
      // A run's key is made when its first proxy connects, or when an edit gives the key runs.
      if (live === null || runs.awaits(this.#scope)) return;
      const snapshot = this.#snapshot(live);
      const signature = signatureOf(snapshot);
      if (signature === pushed) return;
      pushed = signature;
      listener(snapshot);
    });
  }

  /** The snapshot, made once for each live state, because every call must check its key. */
  #snapshot(of: LiveState): Snapshot {
    if (this.#last?.of !== of) this.#last = { of, snapshot: snapshotFor(of, this.#scope) };
    return this.#last.snapshot;
  }

  #isMine(key: KeyName): boolean {
    const live = this.#deps.registry.live();
    return live !== null && this.#snapshot(live).keys.some(({ document }) => document.key === key);
  }

  #demand(key: KeyName): void {
    if (!this.#isMine(key)) throw this.#outOfScope(key);
  }

  #demandStream(stream: StreamId): void {
    const { instance } = this.#scope;
    if (stream !== streamId(keyOfStream(stream), instance)) throw new OutOfScope(`${stream} is not a stream of ${instance}`);
  }

  #outOfScope(key: KeyName): OutOfScope {
    return new OutOfScope(`${key} is not a key of ${this.#scope.instance}`);
  }
}
