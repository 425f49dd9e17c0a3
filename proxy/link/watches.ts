import type { ControlPort } from '../../core/protocol/control.ts';
import type { Push } from '../../core/protocol/snapshot.ts';

/** Watches that outlive the connections over which they are told. */
export interface Watches {
  watch: ControlPort['watch'];
  /** Every watch is opened on this port, and told the whole state by it. */
  connect(port: ControlPort): void;
  disconnect(): void;
  /** Tells every watch that nothing is served any more, where something was. */
  revoke(): void;
}

interface Watch {
  readonly listener: (push: Push) => void;
  stop: () => void;
}

/** No watches. */
export function createWatches(): Watches {
  const watches = new Set<Watch>();
  let port: ControlPort | null = null;
  /** Revision of the state that the watches hold; null where they hold none. */
  let held: number | null = null;

  function tell(watch: Watch, push: Push): void {
    if (push.kind === 'snapshot') held = push.revision;
    watch.listener(push);
  }

  function begin(watch: Watch): void {
    if (port !== null) watch.stop = port.watch((push) => tell(watch, push));
  }

  return {
    watch(listener) {
      const watch: Watch = { listener, stop: () => {} };
      watches.add(watch);
      begin(watch);
      return () => {
        watches.delete(watch);
        watch.stop();
      };
    },
    connect(next) {
      port = next;
      for (const watch of [...watches]) begin(watch);
    },
    disconnect() {
      port = null;
      for (const watch of watches) watch.stop = () => {};
    },
    revoke() {
      if (held === null) return;
      const nothing: Push = { kind: 'snapshot', revision: held, keys: [], pools: [], credentials: [] };
      held = null;
      for (const { listener } of [...watches]) listener(nothing);
    },
  };
}
