import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { parseManifests } from '../core/manifest/parse.ts';
import type { KeyName } from '../core/names.ts';
import { formatProblem } from '../core/problem.ts';
import { type Broker, createBroker } from './broker.ts';
import type { Alarm } from './evidence/collector.ts';
import type { Policy } from './keys/policy.ts';
import { openTokenFiles, type TokenFiles } from './keys/token-files.ts';
import { findCredentials } from './standalone/credentials.ts';
import { openSqliteStore } from './store/sqlite.ts';
import type { EntryRow, Store } from './store/types.ts';

/** For tests: a VirtualKey without `kind` and `metadata`. */
export type Spec = Readonly<Record<string, unknown>>;

/** For tests: a broker over a real store in a folder of its own. */
export interface Bench {
  readonly broker: Broker;
  readonly store: Store;
  readonly files: TokenFiles;
  /** The folder of the store. */
  readonly folder: string;
  /** Whether it decides which keys live; default true. */
  decides: () => boolean;
  /** Adopts these keys, of objects with these uids, beside a pool that every namespace may use; problems as text. */
  declare(
    keys: Readonly<Record<string, Spec>>,
    uids?: Readonly<Record<string, string>>,
    more?: Pick<Policy, 'createdAtMs' | 'standIns'>,
  ): readonly string[];
  /** The ids of the tokens that open a key now. */
  tokenIds(key: string): readonly string[];
  /** Bodies of the operator's own stream, as `type object`. */
  events(): readonly string[];
  /** All alarms so far. */
  readonly alarms: readonly Alarm[];
  /** Closes broker and store and opens them again on the same folder, with nothing declared. */
  restart(): void;
  close(): void;
}

const pool = {
  kind: 'ProviderPool',
  apiVersion: 'keyforge.dev/v1alpha1',
  metadata: { name: 'openai', namespace: 'platform' },
  spec: {
    provider: 'OpenAI',
    keys: [{ name: 'a', secretRef: { name: 'openai', key: 'a' } }],
    consumers: [{ namespaceSelector: {} }],
    models: [{ name: 'small', maxOutputTokens: 100, pricePerMillion: { input: '1', output: '2' } }],
  },
};

export interface BenchOptions {
  readonly clock?: () => number;
  readonly poolProblems?: 'refuse' | 'withdraw';
  /** The folder of another bench, for two replicas over one store; close this one first. Default: a new folder, removed at the end. */
  readonly folder?: string;
}

/** Opens a bench; nothing is declared yet. */
export function openBench({ clock = Date.now, poolProblems = 'refuse', folder }: BenchOptions = {}): Bench {
  const dir = folder ?? mkdtempSync(join(tmpdir(), 'keyforge-broker-'));
  const rootKey = Buffer.alloc(32, 7);
  const logger = pino({ level: 'silent' });
  const files = openTokenFiles(join(dir, 'tokens'));
  const alarms: Alarm[] = [];
  let { store, broker } = start();

  function start(): { readonly store: Store; readonly broker: Broker } {
    const opened = openSqliteStore({ path: join(dir, 'keyforge.db'), clock });
    const deps = { store: opened, rootKey, logger, book: () => [], random: randomBytes, instance: 'test', poolProblems } as const;
    const made: Broker = createBroker({
      ...deps,
      decides: () => bench.decides(),
      onAlarm: (alarm) => alarms.push(alarm),
      onChange: () => files.sync(made.tokens()),
    });
    return { store: opened, broker: made };
  }

  function stop(): void {
    broker.close();
    store.close();
  }

  const bench: Bench = {
    get broker() {
      return broker;
    },
    get store() {
      return store;
    },
    files,
    alarms,
    folder: dir,
    decides: () => true,
    declare(keys, uids = {}, more = {}) {
      const declared = Object.entries(keys).map(([key, spec]) => {
        const [namespace, name] = key.split('/');
        const pools = 'parentRef' in spec ? {} : { pools: [{ name: 'openai', namespace: 'platform' }] };
        return { kind: 'VirtualKey', apiVersion: 'keyforge.dev/v1alpha1', metadata: { namespace, name }, spec: { ...pools, ...spec } };
      });
      const documents = [pool, ...declared].map((value) => ({ file: 'test.yaml', line: 1, value, lineOf: () => undefined }));
      const { manifests, problems } = parseManifests(documents);
      if (problems.length > 0) return problems.map(formatProblem);
      const found = findCredentials(manifests, { KEYFORGE_SECRET_OPENAI_A: 'sk-real' });
      return broker
        .adopt({
          manifests,
          credentials: found.credentials,
          missing: found.problems,
          uids: new Map(Object.entries(uids) as [KeyName, string][]),
          ...more,
        })
        .map(formatProblem);
    },
    tokenIds: (key) =>
      store
        .transaction((tx) => tx.keys.tokens(key as KeyName).filter(({ validUntilMs }) => (validUntilMs ?? Infinity) > tx.now()))
        .map(({ id }) => id),
    events: () => store.transaction((tx) => tx.streams.entries(0, 1000)).flatMap(eventOf),
    restart() {
      stop();
      ({ store, broker } = start());
    },
    close() {
      stop();
      if (folder === undefined) rmSync(dir, { recursive: true, force: true });
    },
  };
  return bench;
}

function eventOf({ key, body }: EntryRow): readonly string[] {
  const { type, object } = JSON.parse(body.toString()) as { readonly type: string; readonly object: string };
  return key === 'operator' ? [`${type} ${object}`] : [];
}
