import type { Logger } from 'pino';
import { type KeyName, streamId } from '../core/names.ts';
import type { AccountPlan } from '../core/policy/documents.ts';
import { describeProblem, type Problem } from '../core/problem.ts';
import type { ControlPort } from '../core/protocol/control.ts';
import { answerTokens } from './evidence/answers.ts';
import { type Alarm, Collector } from './evidence/collector.ts';
import { openEpoch } from './evidence/epoch.ts';
import { type OwnDeps, type RecordEvent, recordOwn } from './evidence/own-stream.ts';
import { createKeyDesk, type KeyDesk } from './keys/desk.ts';
import type { LiveState } from './keys/live-state.ts';
import { Minting } from './keys/minting.ts';
import type { Policy } from './keys/policy.ts';
import { Registry, type RegistryDeps } from './keys/registry.ts';
import { createRetirement, type Retirement } from './keys/retirement.ts';
import { Runs } from './keys/runs.ts';
import { Upkeep } from './keys/upkeep.ts';
import { createFunding, type Funding } from './ledger/funding.ts';
import { overdrawn, view } from './ledger/view.ts';
import { type Notice, Notices } from './sessions/notices.ts';
import { ScopedPort, type ScopedPortDeps } from './sessions/scoped-port.ts';
import type { ControlHost } from './sessions/session.ts';
import { snapshotFor } from './sessions/snapshot.ts';
import { type Batch, createBatch } from './store/batch.ts';
import type { Tx } from './store/types.ts';

/** The control port for proxies, and the methods for the operator's own process. Its methods need no `this`. */
export interface Broker extends ControlPort, ControlHost, Retirement {
  readonly desk: KeyDesk;
  /** The live state; null before the first policy is adopted. */
  live(): LiveState | null;
  /** The current token of a declared key, for its holder only; null if the key issues none or is revoked. */
  token(key: KeyName): string | null;
  /** The tokens of all declared keys that have one. */
  tokens(): ReadonlyMap<KeyName, string>;
  /** Adopts a policy. If it returns problems, nothing changed and the last good state stays in force. */
  adopt(policy: Policy): readonly Problem[];
  /** Reads what another process over the same store wrote about keys. */
  refresh(): void;
  /** Does due work now. Its own timer also does it, up to a minute late after a jump of the clock. */
  runUpkeep(): void;
  /** Stops timers; later calls fail. The owner of the store closes the store. */
  close(): void;
}

/** What a broker needs. */
export interface BrokerDeps extends Omit<RegistryDeps, 'record'> {
  /** Name of this operator in its own audit stream. */
  readonly instance: string;
  /** Called in the turn in which a change became durable, before any proxy receives it. */
  readonly onChange: () => void;
  /** Called once for each alarm; the log has the details. Default: only the log. */
  readonly onAlarm?: (alarm: Alarm) => void;
  readonly logger: Logger;
}

/** Makes a broker over a store. It serves nothing before a policy is adopted. */
export function createBroker(deps: BrokerDeps): Broker {
  const parts = assemble(deps);
  const { registry, funding, runs, upkeep, collector, retirement, notices } = parts;
  const whole = wholePort(parts);
  const scoped: ScopedPortDeps = {
    whole,
    ship: (request, check) => collector.ship(request, check),
    registry,
    runs,
    hasStream,
    subscribe: (listener) => subscribe(parts, listener),
  };
  return {
    ...whole,
    session: (scope) => new ScopedPort(scope, scoped),
    retire: (instance) => retirement.retire(instance),
    retireAllBut: (living) => retirement.retireAllBut(living),
    desk: parts.desk,
    live: () => registry.live(),
    token: (key) => registry.token(key),
    tokens: () => registry.tokens(),
    adopt: (policy) => adopt(parts, policy, deps),
    refresh() {
      if (registry.refresh()) funding.released();
    },
    runUpkeep: () => upkeep.run(),
    close() {
      upkeep.close();
      funding.close();
      runs.close();
      notices.clear();
    },
  };
}

/** The control port without restrictions. */
function wholePort(parts: Parts): ControlPort {
  const { registry, batch, funding, collector, minting, own } = parts;
  return {
    open: (request) =>
      batch.run((tx) => {
        // A deleted key may still close its open streams, so that its money is released.
        const isKnown = registry.live()?.documents.has(request.key) === true || hasStream(tx, request.key, request.instance);
        if (!isKnown) throw new Error(`there is no key ${request.key}`);
        return openEpoch(tx, request, own);
      }),
    ship: (request) => collector.ship(request, () => {}),
    grant: (request, signal) => funding.grant(request, signal),
    account: (key) => batch.run((tx) => view(tx, planOf(registry, key))),
    answerTokens: (key, answerSha256) => batch.run((tx) => answerTokens(tx, key, answerSha256)),
    mint: (parent, spec) => minting.mint(parent, spec),
    children: (parent) => minting.children(parent),
    unmint: (parent, child) => minting.unmint(parent, child),
    watch: (listener) =>
      subscribe(parts, (notice) => {
        const live = registry.live();
        if (notice !== 'policy') listener(notice);
        else if (live !== null) listener(snapshotFor(live, { kind: 'standalone' }));
      }),
  };
}

/** The parts of a broker. */
interface Parts {
  readonly own: OwnDeps;
  readonly registry: Registry;
  readonly batch: Batch;
  readonly funding: Funding;
  readonly notices: Notices;
  readonly collector: Collector;
  readonly runs: Runs;
  readonly upkeep: Upkeep;
  readonly minting: Minting;
  readonly desk: KeyDesk;
  readonly retirement: Retirement;
}

function assemble(deps: BrokerDeps): Parts {
  const { store, logger, random, rootKey, instance, decides, onAlarm = () => {} } = deps;
  const own: OwnDeps = { rootKey, instance, random };
  const record: RecordEvent = (tx, event) => recordOwn(tx, event, own);
  const notices = new Notices(logger);
  const registry = new Registry({ ...deps, record, onChange });
  const batch = createBatch(store);
  const monotonic = (): number => performance.now();
  const funding = createFunding({ batch, live: () => registry.live(), push: (recall) => notices.publish(recall), monotonic });
  const onRelease = (): void => funding.released();
  const onNotes = (keys: Iterable<KeyName>): void => recallOverdrawn({ registry, notices }, keys);
  const upkeep = new Upkeep({ store, registry, decides, record, random, rootKey, onRelease, logger });

  function onChange(): void {
    deps.onChange();
    notices.publish('policy');
    upkeep.schedule();
  }

  return {
    own,
    registry,
    batch,
    funding,
    notices,
    upkeep,
    collector: new Collector({ batch, own, onAlarm, onRelease, onNotes, onLearned: () => registry.refresh(), logger }),
    runs: new Runs({ registry, record, logger }),
    minting: new Minting({ registry, funding, record, random, rootKey }),
    desk: createKeyDesk({ registry, record, random, rootKey, onRelease }),
    retirement: createRetirement({ registry, record, onRelease, onAlarm, logger }),
  };
}

function adopt({ registry, funding, notices }: Parts, policy: Policy, { poolProblems, logger }: BrokerDeps): readonly Problem[] {
  const problems = registry.adopt(policy);
  const live = registry.live();
  // A cluster reports it in conditions, to the people who can fix it.
  if (problems.length === 0 && poolProblems === 'refuse') {
    for (const problem of live?.withdrawn ?? []) logger.warn(`a key is active without one of its pools: ${describeProblem(problem)}`);
  }
  // A raised cap or a deleted sub-agent key may free money for waiting requests.
  funding.released();
  recallOverdrawn({ registry, notices }, live?.plans.keys() ?? []);
  return problems;
}

/** Calls back now, if a policy is adopted, and with each change. */
function subscribe({ registry, notices }: Parts, listener: (notice: Notice) => void): () => void {
  const stop = notices.subscribe(listener);
  if (registry.live() !== null) listener('policy');
  return stop;
}

/** Recalls idle grants beyond a cap on the path of these keys. */
function recallOverdrawn({ registry, notices }: Pick<Parts, 'registry' | 'notices'>, of: Iterable<KeyName>): void {
  const plans = [...of].flatMap((key) => registry.live()?.plans.get(key) ?? []);
  const keys = plans.length === 0 ? [] : registry.read((tx) => overdrawn(tx, plans));
  if (keys.length > 0) notices.publish({ kind: 'recall', keys });
}

function planOf(registry: Registry, key: KeyName): AccountPlan {
  const plan = registry.live()?.plans.get(key);
  if (plan === undefined) throw new Error(`no key ${key} is declared`);
  return plan;
}

function hasStream(tx: Tx, key: KeyName, instance: string): boolean {
  return tx.streams.lastEpoch(streamId(key, instance)) !== null;
}
