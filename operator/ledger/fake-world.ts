import type { CallBody, EntryBody, PaidFrom, ProxyBody } from '../../core/audit/types.ts';
import type { Need, Reservation } from '../../core/budget/types.ts';
import { Wallet } from '../../core/budget/wallet.ts';
import { windowAccountsAt } from '../../core/budget/window-account.ts';
import { type KeyName, type StreamId, streamId } from '../../core/names.ts';
import type { AccountPlan } from '../../core/policy/documents.ts';
import type { GrantRequest } from '../../core/protocol/money.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import type { EpochRow, Store, Tx } from '../store/types.ts';
import { type GrantAnswer, grant } from './ledger.ts';
import { type LedgerNote, settleEntry } from './settle.ts';

/** A ledger, a collector that only stores and settles, and any number of proxies, all on one clock and without I/O. */
export interface World {
  readonly store: Store;
  /** The notes of all settlements. */
  readonly notes: LedgerNote[];
  readonly clock: { nowMs: number };
  proxy(key: KeyName, instance: string): FakeProxy;
}

export interface Written {
  readonly epoch: number;
  readonly seq: number;
  readonly body: ProxyBody;
}

/** A proxy's money and evidence, without its network. */
export interface FakeProxy {
  readonly key: KeyName;
  readonly stream: StreamId;
  wallet: Wallet;
  epoch: number;
  head: number;
  /** Written and not yet shipped. */
  spool: Written[];
  openEpoch(): void;
  write(body: ProxyBody): Written;
  /** Ships spooled entries, at most `max`; returns them, so that a test can ship them again. */
  ship(max?: number): readonly Written[];
  /** Stores one entry if it is the next of its epoch. */
  deliver(written: Written): void;
  /** Sends a request to the ledger, and again with the same id; deposits the answer. */
  request(shortage: Omit<GrantRequest, 'stream' | 'epoch' | 'head' | 'askId'>, plan: AccountPlan): GrantAnswer;
  /** Reserves; if the wallet is short, requests a grant first. */
  reserve(need: Need, plan: AccountPlan): Reservation | null;
}

export function fakeWorld(startMs: number): World {
  const clock = { nowMs: startMs };
  const store = openSqliteStore({ path: ':memory:', clock: () => clock.nowMs });
  const notes: LedgerNote[] = [];
  return { store, notes, clock, proxy: (key, instance) => fakeProxy({ store, notes, clock }, key, instance) };
}

function fakeProxy({ store, notes, clock }: Omit<World, 'proxy'>, key: KeyName, instance: string): FakeProxy {
  const stream = streamId(key, instance);
  let sent = 0;
  const self: FakeProxy = {
    key,
    stream,
    wallet: new Wallet(),
    epoch: 0,
    head: -1,
    spool: [],
    openEpoch: () => {
      self.wallet = new Wallet();
      self.epoch += 1;
      self.head = -1;
      store.transaction((tx) => tx.streams.putEpoch(epochRow(self, instance)));
    },
    write: (body) => {
      self.head += 1;
      const written = { epoch: self.epoch, seq: self.head, body };
      self.spool.push(written);
      return written;
    },
    ship: (max = Number.POSITIVE_INFINITY) => {
      const shipped = self.spool.slice(0, max);
      self.spool = self.spool.slice(shipped.length);
      for (const written of shipped) self.deliver(written);
      return shipped;
    },
    deliver: (written) => {
      notes.push(...store.transaction((tx) => collect(tx, self, written)));
    },
    request: (shortage, plan) => {
      sent += 1;
      const request = { ...shortage, stream, epoch: self.epoch, head: self.head, askId: `${sent}` };
      const reply = store.transaction((tx) => grant(tx, request, plan));
      const again = store.transaction((tx) => grant(tx, request, plan));
      for (const answer of [reply, again]) if ('grant' in answer) self.wallet.deposit(answer.grant, clock.nowMs);
      return reply;
    },
    reserve: (need, plan) => {
      self.wallet.note(need, clock.nowMs);
      const first = self.wallet.reserve(need, clock.nowMs);
      if (!('kind' in first)) return first;
      self.request(first, plan);
      const second = self.wallet.reserve(need, clock.nowMs, need.atLeastNano);
      return 'kind' in second ? null : second;
    },
  };
  self.openEpoch();
  return self;
}

/** Does with an entry what the collector does, without cryptography. */
function collect(tx: Tx, { key, stream }: FakeProxy, { epoch, seq, body }: Written): readonly LedgerNote[] {
  const row = tx.streams.epoch(stream, epoch);
  if (row === null || seq !== row.lastSeq + 1) return [];
  const bytes = { previousMac: Buffer.alloc(32), mac: Buffer.alloc(32), salt: Buffer.alloc(16), body: Buffer.from(JSON.stringify(body)) };
  tx.streams.addEntry({ stream, epoch, seq, key, type: body.type, ...bytes });
  const notes = settleEntry(tx, { stream, epoch, seq }, body);
  tx.streams.putEpoch({ ...row, lastSeq: seq, state: body.type === 'epoch_close' ? 'closed' : row.state });
  return notes;
}

function epochRow({ stream, key, epoch }: FakeProxy, instance: string): EpochRow {
  const secrets = { nonce: '00', lastMac: '0'.repeat(64), sealedKey: '00' };
  return { stream, key, instance, epoch, state: 'open', lastSeq: -1, ...secrets };
}

/** The part of a call's entry that the ledger reads. */
export function callBody(key: KeyName, paidFrom: readonly PaidFrom[]): CallBody {
  const cost = paidFrom.reduce((sum, { costNanoUsd }) => sum + Number(costNanoUsd), 0);
  return { v: 1, type: 'call', key, costNanoUsd: String(cost), paidFrom } as unknown as CallBody;
}

/** Any other entry. */
export function body<T extends EntryBody['type']>(type: T, more: object = {}): Extract<EntryBody, { readonly type: T }> {
  return { v: 1, type, time: '', ...more } as unknown as Extract<EntryBody, { readonly type: T }>;
}

/** Accounts that a key uses now. */
export function accountsNow(plan: AccountPlan, nowMs: number): readonly string[] {
  return windowAccountsAt(plan, nowMs).map(({ id }) => id);
}
