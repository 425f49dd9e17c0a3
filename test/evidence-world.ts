import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { pino } from 'pino';
import type { CallBody } from '../core/audit/types.ts';
import type { Reservation } from '../core/budget/types.ts';
import { type KeyName, keyName } from '../core/names.ts';
import type { AccountPlan } from '../core/policy/documents.ts';
import type { ControlPort } from '../core/protocol/control.ts';
import { decodeEntries } from '../core/protocol/entry-wire.ts';
import { openEpoch } from '../operator/evidence/epoch.ts';
import { bot, callBody } from '../operator/evidence/evidence.fixture.ts';
import { ingest } from '../operator/evidence/ingest.ts';
import type { OwnDeps } from '../operator/evidence/own-stream.ts';
import { grant } from '../operator/ledger/ledger.ts';
import { loadRootKey } from '../operator/store/root-key.ts';
import { openSqliteStore } from '../operator/store/sqlite.ts';
import type { Store } from '../operator/store/types.ts';
import { createRecorder, type Recorder } from '../proxy/evidence/recorder.ts';
import { createShipper, type Shipper } from '../proxy/evidence/shipper.ts';
import { openSpool, type Spool } from '../proxy/evidence/spool/spool.ts';

/** Stages at which a process may be killed, in the order in which one call passes them. */
export const stages = [
  'opened',
  'granted',
  'call_opened',
  'free_error_seen',
  'call_reopened',
  'answer_seen',
  'entry_written',
  'shipped',
  'second_call_opened',
  'closed',
  'close_shipped',
] as const;
export type Stage = (typeof stages)[number];

export const boundNano = 50;
export const costNano = 30;
export const team: KeyName = keyName('platform', 'team');

const plan: AccountPlan = {
  key: bot,
  path: [team, bot],
  nodes: [
    { key: team, limits: [], rate: {} },
    { key: bot, limits: [{ window: 'Total', usdNano: 1_000_000, timeZone: 'Etc/UTC' }], rate: {} },
  ],
} as AccountPlan;

/** Collector, ledger and one key's proxy side over a data folder. */
export interface EvidenceWorld {
  readonly store: Store;
  readonly rootKey: Buffer;
  readonly spool: Spool;
  readonly shipper: Shipper;
  readonly recorder: Recorder;
  /** A grant's id; the ledger holds the stream up to its head first. */
  fund(nano: number): Promise<string>;
  close(): Promise<void>;
}

export function openWorld(dataDir: string): EvidenceWorld {
  const store = openSqliteStore({ path: join(dataDir, 'keyforge.db'), clock: Date.now });
  const rootKey = loadRootKey(join(dataDir, 'root.key'), randomBytes);
  const deps: OwnDeps = { rootKey, instance: 'op-1', random: randomBytes };
  const control: Pick<ControlPort, 'open' | 'ship'> = {
    open: async (ask) => store.transaction((tx) => openEpoch(tx, ask, deps)),
    ship: async (ask) =>
      store.transaction((tx) => ingest(tx, decodeEntries(ask.entries) ?? assert.fail('entries that cannot be read'), deps).reply),
  };
  const logger = pino({ level: 'silent' });
  const spool = openSpool({ dir: join(dataDir, 'spool'), bootId: 'boot-1', logger });
  const shipper = createShipper({ control, spool, logger, onQuarantine: (stream, _, reason) => assert.fail(`${stream}: ${reason}`) });
  const recorder = createRecorder({ key: bot, instance: 'i-1', bootId: 'boot-1', control, spool, clock: Date.now, random: randomBytes });
  return {
    store,
    rootKey,
    spool,
    shipper,
    recorder,
    async fund(nano) {
      const { stream, epoch } = recorder;
      const head = recorder.head();
      await shipper.flush(stream, epoch, head);
      const need = { atLeastNano: nano, boundNano: nano, wantNano: nano, atLeastRequests: 0, wantRequests: 0, tokens: 0 } as const;
      const reply = store.transaction((tx) => grant(tx, { stream, epoch, head, askId: randomBytes(8).toString('hex'), ...need }, plan));
      assert.ok('grant' in reply, JSON.stringify(reply));
      return reply.grant.id;
    },
    async close() {
      await shipper.close();
      await spool.close();
      store.close();
    },
  };
}

export function reserve(id: string): Reservation {
  return { parts: [{ grant: id, nano: boundNano }], amountNano: boundNano };
}

export function paidCall(requestId: string, id: string): CallBody {
  return { ...callBody([{ costNanoUsd: String(costNano), grant: id }]), requestId };
}
