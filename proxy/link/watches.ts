import type { ControlPort } from '../../core/protocol/control.ts';
import type { Push } from '../../core/protocol/snapshot.ts';

interface Watch {
  readonly listener: (push: Push) => void;
  stop: () => void;
}

/** Watches that outlive the connections. */
export class Watches {
  readonly #watches = new Set<Watch>();
  #port: Pick<ControlPort, 'watch'> | null = null;
  /** Revision of the state that the watches hold; null if they hold none. */
  #heldRevision: number | null = null;

  watch(listener: (push: Push) => void): () => void {
    const watch: Watch = { listener, stop: () => {} };
    this.#watches.add(watch);
    this.#open(watch);
    return () => {
      this.#watches.delete(watch);
      watch.stop();
    };
  }

  /** Opens every watch on this port, which then pushes the whole state to each. */
  connect(port: Pick<ControlPort, 'watch'>): void {
    this.#port = port;
    for (const watch of [...this.#watches]) this.#open(watch);
  }

  disconnect(): void {
    this.#port = null;
    for (const watch of this.#watches) watch.stop = () => {};
  }

  /** Pushes an empty state to every watch, if they hold a state. */
  revoke(): void {
    if (this.#heldRevision === null) return;
    const nothing: Push = { kind: 'snapshot', revision: this.#heldRevision, keys: [], pools: [], credentials: [] };
    this.#heldRevision = null;
    for (const { listener } of [...this.#watches]) listener(nothing);
  }

  #open(watch: Watch): void {
    if (this.#port !== null) watch.stop = this.#port.watch((push) => this.#pass(watch, push));
  }

  #pass({ listener }: Watch, push: Push): void {
    if (push.kind === 'snapshot') this.#heldRevision = push.revision;
    listener(push);
  }
}
