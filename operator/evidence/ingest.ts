import { timingSafeEqual } from 'node:crypto';
import { commit, createSealer, ratchet } from '../../core/audit/entry.ts';
import type { Entry, ProxyBody } from '../../core/audit/types.ts';
import { epochId, type StreamId } from '../../core/names.ts';
import type { ShipReply } from '../../core/protocol/evidence.ts';
import type { EntryRow, EpochRow, Tx } from '../store/types.ts';
import { parseBody } from './body.ts';
import { type OwnDeps, recordOwn } from './own-stream.ts';
import { openRow, sealRow } from './seal.ts';
import { type BurnNote, supersede } from './supersede.ts';

export interface SettlementNote extends BurnNote {
  readonly severity: 'quarantine' | 'alarm';
  readonly message: string;
}

export interface CollectorDeps extends OwnDeps {
  /** The ledger's settlement. A note of severity `quarantine` means that nothing was settled. */
  readonly settle: (
    tx: Tx,
    entry: { readonly stream: StreamId; readonly epoch: number; readonly seq: number },
    body: ProxyBody,
  ) => readonly SettlementNote[];
}

/**
 * Takes entries in: each is verified, stored once and settled in this one transaction. The same bytes again are acknowledged;
 * what lies behind a gap is left for later. Other bytes in a place that is taken, a MAC that does not fit or money that is
 * not the stream's quarantine the epoch: it gets no further entries and no further money, and the operator's own stream says why.
 */
export function ingest(tx: Tx, entries: readonly Entry[], deps: CollectorDeps): ShipReply {
  const acks: ShipReply['acks'][number][] = [];
  const rejected: ShipReply['rejected'][number][] = [];
  for (const group of byEpoch(entries)) {
    const { stream, epoch } = group[0];
    const row = tx.streams.epoch(stream, epoch);
    const intake = row === null ? null : openIntake(tx, row, deps);
    for (const entry of group) {
      const reason = intake === null ? 'its epoch was never opened here' : intake.take(entry);
      if (reason !== null) rejected.push({ stream, epoch, seq: entry.seq, reason });
    }
    intake?.save();
    acks.push({ stream, epoch, seq: intake?.lastSeq() ?? -1 });
  }
  return { acks, rejected };
}

function byEpoch(entries: readonly Entry[]): readonly (readonly [Entry, ...Entry[]])[] {
  const groups = new Map<string, [Entry, ...Entry[]]>();
  for (const entry of entries) {
    const id = epochId(entry);
    const group = groups.get(id);
    if (group === undefined) groups.set(id, [entry]);
    else group.push(entry);
  }
  return [...groups.values()];
}

/** The end of one epoch's chain while a batch goes in. */
interface Intake {
  /** Null where the entry is stored, was already, or lies behind a gap; else why it never will be. */
  take(entry: Entry): string | null;
  lastSeq(): number;
  /** Writes the epoch's row where it changed. */
  save(): void;
}

interface Settled {
  readonly body: ProxyBody;
  readonly notes: readonly SettlementNote[];
}

function openIntake(tx: Tx, row: EpochRow, deps: CollectorDeps): Intake {
  const { stream, epoch } = row;
  const seal = createSealer(stream, epoch);
  const opened = openRow(row, deps.rootKey);
  if (opened === null)
    throw new Error(`the head of ${stream} epoch ${epoch} does not open: it was altered, or this is not the root key that sealed it`);
  let key = opened;
  let { state, lastSeq } = row;
  let lastMac: Buffer = Buffer.from(row.lastMac, 'hex');
  let changed = false;

  /** Where the entry is authentic, next in the chain and its money right it is settled; else why not. */
  function settle(entry: Entry): Settled | string {
    if (state === 'quarantined') return 'its stream is quarantined';
    if (state === 'closed') return 'it comes after the end of its epoch';
    if (!timingSafeEqual(entry.previousMac, lastMac)) return 'it does not continue from the entry before it';
    const mac = seal(key, entry.seq, entry.previousMac, commit(Buffer.concat([entry.salt, entry.body])));
    if (!timingSafeEqual(mac, entry.mac)) return 'its MAC does not fit';
    const body = parseBody(entry.body, { ...row, seq: entry.seq });
    if ('problem' in body) return body.problem;
    const notes = deps.settle(tx, entry, trusted(tx, stream, body));
    return notes.find(({ severity }) => severity === 'quarantine')?.message ?? { body, notes };
  }

  function store(entry: Entry, { body, notes }: Settled): void {
    tx.streams.addEntry({ ...entry, key: row.key, type: body.type });
    if (entry.seq === 0) supersede(tx, { stream, epoch, body, notes }, deps);
    if (body.type === 'epoch_close') state = 'closed';
    const used = key;
    key = ratchet(used);
    used.fill(0);
    lastSeq = entry.seq;
    lastMac = entry.mac;
    changed = true;
  }

  function quarantine(seq: number, reason: string): string {
    if (state === 'quarantined') return reason;
    state = 'quarantined';
    changed = true;
    const detail = { epoch: String(epoch), seq: String(seq), reason };
    recordOwn(tx, { detail, object: stream, time: new Date(tx.now()).toISOString(), type: 'stream_quarantined', v: 1 }, deps);
    return reason;
  }

  return {
    take(entry) {
      if (entry.seq > lastSeq + 1) return null;
      if (entry.seq <= lastSeq) {
        const stored = tx.streams.entry(stream, epoch, entry.seq);
        if (stored !== null && isSame(stored, entry)) return null;
        return quarantine(entry.seq, 'another entry is stored in its place');
      }
      const settled = settle(entry);
      if (typeof settled === 'string') return quarantine(entry.seq, settled);
      store(entry, settled);
      return null;
    },
    lastSeq: () => lastSeq,
    save() {
      if (changed) tx.streams.putEpoch(sealRow({ ...row, state, lastSeq, lastMac: lastMac.toString('hex') }, key, deps));
      key.fill(0);
    },
  };
}

/** A stream that was quarantined is not believed when it says that nothing was lost: what it held burns. */
function trusted(tx: Tx, stream: StreamId, body: ProxyBody): ProxyBody {
  if (body.type !== 'epoch_recovered' || !body.whole) return body;
  return tx.streams.epoch(stream, body.recoveredEpoch)?.state === 'quarantined' ? { ...body, whole: false } : body;
}

function isSame(stored: EntryRow, entry: Entry): boolean {
  return (['mac', 'previousMac', 'salt', 'body'] as const).every((field) => stored[field].equals(entry[field]));
}
