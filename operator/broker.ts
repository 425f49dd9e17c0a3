import type { Logger } from 'pino';
import { type KeyName, type StreamId, streamId } from '../core/names.ts';
import { describeProblem, type Problem } from '../core/problem.ts';
import type { ControlPort } from '../core/protocol/control.ts';
import { decodeEntries } from '../core/protocol/entry-wire.ts';
import type { ShipReply, ShipRequest } from '../core/protocol/evidence.ts';
import { openEpoch } from './evidence/epoch.ts';
import { type CollectorDeps, ingest } from './evidence/ingest.ts';
import { recordOwn } from './evidence/own-stream.ts';
import { createKeyDesk, type KeyDesk } from './keys/desk.ts';
import type { RecordEvent } from './keys/lives.ts';
import { createMinting } from './keys/minting.ts';
import type { Policy } from './keys/policy.ts';
import { createRegistry, type Live, type RegistryDeps } from './keys/registry.ts';
import { createRetirement, type Retirement } from './keys/retirement.ts';
import { createRuns } from './keys/runs.ts';
import { createUpkeep } from './keys/upkeep.ts';
import { createFunding } from './ledger/funding.ts';
import { type LedgerNote, settleEntry } from './ledger/settle.ts';
import { overdrawn, view } from './ledger/view.ts';
import type { Scope } from './sessions/scope.ts';
import { type Notice, scopedPort } from './sessions/scoped-port.ts';
import { snapshotFor } from './sessions/snapshot.ts';
import { createBatch } from './store/batch.ts';
import type { Tx } from './store/types.ts';

/** The operator as a proxy sees it, and what the operator's own process does with it. */
export interface Broker extends ControlPort, Retirement {
  readonly desk: KeyDesk;
  /** The state that is served; null until the first policy was adopted. */
  live(): Live | null;
  /** The token that opens a declared key now, for its holder alone; null where it issues none or is revoked. */
  token(key: KeyName): string | null;
  /** The tokens of all declared keys that have one. */
  tokens(): ReadonlyMap<KeyName, string>;
  /** The control port as one attested proxy may use it. */
  session(scope: Exclude<Scope, { kind: 'standalone' }>): ControlPort;
  /** Problems: nothing changed, the last good state keeps serving. */
  adopt(policy: Policy): readonly Problem[];
  /** Takes over what another process over the same store wrote of keys. */
  refresh(): void;
  /** Does what is due by the clock; otherwise its own timer does, up to a minute late after a jump of the clock. */
  runUpkeep(): void;
  /** Stops timers; calls that come later fail. The store is its owner's to close. */
  close(): void;
}

/**
 * What people should hear of: records that do not fit their chain or name money that is not theirs; a provider that billed more
 * than a call's bound, or an entry that came after its money was closed; money that counts as spent since nobody knows better.
 */
export type Alarm = 'entry_refused' | 'overdraft' | 'burned';

export interface BrokerDeps extends Pick<RegistryDeps, 'store' | 'book' | 'random' | 'rootKey' | 'poolProblems' | 'decides'> {
  /** Name of this operator in its own audit stream. */
  readonly instance: string;
  /** Called in the same turn in which a change became durable, before any proxy hears of it. */
  readonly onChange: () => void;
  /** Once for each; what exactly is in the log. Default: the log is all. */
  readonly onAlarm?: (alarm: Alarm) => void;
  readonly logger: Logger;
}

/** The broker over a store. Nothing is served until a policy was adopted. */
export function createBroker(deps: BrokerDeps): Broker {
  const { store, logger, random, rootKey, instance, onAlarm = () => {} } = deps;
  const watchers = new Set<(notice: Notice) => void>();
  const push = (notice: Notice): void => {
    for (const listener of [...watchers]) {
      try {
        listener(notice);
      } catch (error) {
        // One that fails keeps no other from hearing of a revocation.
        logger.error({ err: error }, 'a proxy could not be told of a change');
      }
    }
  };
  const subscribe = (listener: (notice: Notice) => void): (() => void) => {
    watchers.add(listener);
    if (registry.live() !== null) listener('policy');
    return () => void watchers.delete(listener);
  };
  const record: RecordEvent = (tx, event) =>
    recordOwn(tx, { v: 1, time: new Date(tx.now()).toISOString(), ...event }, { rootKey, instance, random });
  /** Keys of which something was noticed since the last entries were taken in. */
  const alarmed = new Set<KeyName>();
  const collector: CollectorDeps = { rootKey, instance, random, settle: noted };
  const registry = createRegistry({
    ...deps,
    record,
    onChange() {
      deps.onChange();
      push('policy');
      upkeep.schedule();
    },
  });
  const batch = createBatch(store);
  const funding = createFunding({ batch, live: registry.live, push });
  const runs = createRuns({ registry, record, logger });
  const upkeep = createUpkeep({ ...deps, registry, record, released: funding.released });

  /** The ledger's settlement; what it noticed is told. */
  function noted(...[tx, entry, body]: Parameters<CollectorDeps['settle']>): ReturnType<CollectorDeps['settle']> {
    const notes = settleEntry(tx, entry, body);
    // The entry's place alone: a log line with its bytes in it cannot be written, and would undo the settlement.
    const { stream, epoch, seq } = entry;
    if (notes.length > 0) alarmed.add(body.key);
    for (const note of notes) {
      logger.error({ ...note, stream, epoch, seq }, `ledger: ${note.message}`);
      const alarm = alarmOf(note);
      if (alarm !== null) onAlarm(alarm);
    }
    return notes;
  }

  /** What is held idle beyond a cap on the path of these keys is not to be spent. */
  function recallOverdrawn(of: Iterable<KeyName>): void {
    const plans = [...of].flatMap((key) => registry.live()?.plans.get(key) ?? []);
    const keys = plans.length === 0 ? [] : store.transaction((tx) => overdrawn(tx, plans));
    if (keys.length > 0) push({ kind: 'recall', keys });
  }

  function planOf(key: KeyName) {
    const plan = registry.live()?.plans.get(key);
    if (plan === undefined) throw new Error(`no key ${key} is declared`);
    return plan;
  }

  async function ship(ask: ShipRequest, check: (stream: StreamId) => void): Promise<ShipReply> {
    const entries = decodeEntries(ask.entries);
    if (entries === null) throw new RangeError('what was shipped are not whole entries');
    for (const { stream } of entries) check(stream);
    const reply = await batch.run((tx) => ingest(tx, entries, collector));
    for (const _ of reply.rejected) onAlarm('entry_refused');
    if (givesBack.some((type) => ask.entries.includes(type))) funding.released();
    recallOverdrawn(alarmed);
    alarmed.clear();
    return reply;
  }

  const broker: Broker = {
    desk: createKeyDesk({ registry, record, random, rootKey, released: funding.released }),
    live: registry.live,
    token: registry.token,
    tokens: registry.tokens,
    session: (scope) => scopedPort(scope, { whole: broker, ship, registry, runs, subscribe, hasStream }),
    ...createRetirement({ registry, record, released: funding.released, onAlarm, logger }),
    adopt(policy) {
      const problems = registry.adopt(policy);
      // A cluster tells it in conditions, to those who can mend it.
      const told = problems.length === 0 && deps.poolProblems === 'refuse';
      const withdrawn = told ? (registry.live()?.withdrawn ?? []) : [];
      for (const problem of withdrawn) logger.warn(`a key does without a pool: ${describeProblem(problem)}`);
      // A raised cap or a deleted sub-agent key is money that waiting asks may have.
      funding.released();
      recallOverdrawn(registry.live()?.plans.keys() ?? []);
      return problems;
    },
    open: (ask) =>
      batch.run((tx) => {
        // A deleted key may still close what it left open, so that its money comes back.
        const isKnown = registry.live()?.documents.has(ask.key) === true || hasStream(tx, ask.key, ask.instance);
        if (!isKnown) throw new Error(`no key ${ask.key} is served`);
        return openEpoch(tx, ask, collector);
      }),
    ship: (ask) => ship(ask, () => {}),
    grant: funding.grant,
    account: (key) => batch.run((tx) => view(tx, planOf(key))),
    ...createMinting({ registry, funding, record, random, rootKey }),
    watch: (listener) =>
      subscribe((notice) => {
        const live = registry.live();
        if (notice !== 'policy') listener(notice);
        else if (live !== null) listener(snapshotFor(live, { kind: 'standalone' }));
      }),
    refresh() {
      if (registry.refresh()) funding.released();
    },
    runUpkeep: upkeep.run,
    close() {
      upkeep.close();
      runs.close();
      watchers.clear();
    },
  };
  return broker;
}

/** Entries after which an account may have more than before; a false alarm costs one more look. */
const givesBack = ['release', 'epoch_close', 'epoch_recovered'].map((type) => `"type":"${type}"`);

function hasStream(tx: Tx, key: KeyName, instance: string): boolean {
  return tx.streams.lastEpoch(streamId(key, instance)) !== null;
}

/** What refuses an entry is told where it is refused. */
function alarmOf({ kind }: LedgerNote): Alarm | null {
  if (kind === 'burned') return 'burned';
  return kind === 'overdraft' || kind === 'spent_after_close' ? 'overdraft' : null;
}
