import { timingSafeEqual } from 'node:crypto';
import { commit, createSealer, ratchet } from '../../core/audit/entry.ts';
import type { Entry, ProxyBody } from '../../core/audit/types.ts';
import { type EpochId, epochId, type KeyName, type StreamId } from '../../core/names.ts';
import type { ShipReply } from '../../core/protocol/evidence.ts';
import { learn } from '../ledger/learn.ts';
import { type EntryPlace, type LedgerNote, settleEntry } from '../ledger/settle.ts';
import type { EntryRow, EpochRow, Tx } from '../store/types.ts';
import { parseBody } from './body.ts';
import { type OwnDeps, recordOwn } from './own-stream.ts';
import { openRow, sealRow } from './seal.ts';
import { supersede } from './supersede.ts';

/** A note of the ledger about the settlement of one entry. */
export interface EntryNote {
  readonly place: EntryPlace;
  /** The key that the entry is about. */
  readonly key: KeyName;
  readonly note: LedgerNote;
}

/** The result for the entries of one shipment. */
interface Ingested {
  readonly reply: ShipReply;
  /** True if an account may have more than before, or a call that waits may have less to hope for: grants were closed or charged. */
  readonly released: boolean;
  /** True if a bill above its bound taught something. */
  readonly taught: boolean;
  readonly notes: readonly EntryNote[];
}

/**
 * Verifies each entry, stores it once and settles it, all in this one transaction. It acknowledges the same bytes again,
 * and leaves entries after a gap for later. Different bytes in a used place, a wrong MAC or another stream's money quarantine
 * the epoch: it gets no further entries and no further money, and the operator's own stream records the reason.
 */
export function ingest(tx: Tx, entries: readonly Entry[], deps: OwnDeps): Ingested {
  const learned = tx.learned.revision();
  const acks: ShipReply['acks'][number][] = [];
  const rejected: ShipReply['rejected'][number][] = [];
  const intakes: EpochIntake[] = [];
  for (const group of byEpoch(entries)) {
    const { stream, epoch } = group[0];
    const row = tx.streams.epoch(stream, epoch);
    const intake = row === null ? null : new EpochIntake(tx, row, deps);
    for (const entry of group) {
      const reason = intake === null ? 'its epoch was never opened here' : intake.take(entry);
      if (reason !== null) rejected.push({ stream, epoch, seq: entry.seq, reason });
    }
    acks.push({ stream, epoch, seq: intake?.lastSeq ?? -1 });
    if (intake === null) continue;
    intake.save();
    intakes.push(intake);
  }
  return {
    reply: { acks, rejected },
    released: intakes.some(({ released }) => released),
    taught: tx.learned.revision() > learned,
    notes: intakes.flatMap(({ notes }) => notes),
  };
}

function byEpoch(entries: readonly Entry[]): Iterable<readonly [Entry, ...Entry[]]> {
  const groups = new Map<EpochId, [Entry, ...Entry[]]>();
  for (const entry of entries) {
    const id = epochId(entry);
    const group = groups.get(id);
    if (group === undefined) groups.set(id, [entry]);
    else group.push(entry);
  }
  return groups.values();
}

interface Settled {
  readonly body: ProxyBody;
  readonly notes: readonly LedgerNote[];
}

/** The end of one epoch's chain during a batch. */
class EpochIntake {
  readonly notes: EntryNote[] = [];
  readonly #tx: Tx;
  readonly #row: EpochRow;
  readonly #deps: OwnDeps;
  readonly #seal: ReturnType<typeof createSealer>;
  #key: Buffer;
  #state: EpochRow['state'];
  #lastSeq: number;
  #lastMac: Buffer;
  #isChanged = false;
  #released = false;

  constructor(tx: Tx, row: EpochRow, deps: OwnDeps) {
    const { stream, epoch } = row;
    const key = openRow(row, deps.rootKey);
    if (key === null)
      throw new Error(`the head of ${stream} epoch ${epoch} does not open: it was altered, or this is not the root key that sealed it`);
    this.#tx = tx;
    this.#row = row;
    this.#deps = deps;
    this.#seal = createSealer(stream, epoch);
    this.#key = key;
    this.#state = row.state;
    this.#lastSeq = row.lastSeq;
    this.#lastMac = Buffer.from(row.lastMac, 'hex');
  }

  get lastSeq(): number {
    return this.#lastSeq;
  }

  get released(): boolean {
    return this.#released;
  }

  /** Stores an entry. Null: it is stored now, was stored before, or follows a gap. Otherwise the reason why it never will be stored. */
  take(entry: Entry): string | null {
    if (entry.seq > this.#lastSeq + 1) return null;
    if (entry.seq <= this.#lastSeq) {
      const stored = this.#tx.streams.entry(this.#row.stream, this.#row.epoch, entry.seq);
      if (stored !== null && isSame(stored, entry)) return null;
      return this.#quarantine(entry.seq, 'another entry is stored in its place');
    }
    const settled = this.#settle(entry);
    if (typeof settled === 'string') return this.#quarantine(entry.seq, settled);
    this.#store(entry, settled);
    return null;
  }

  /** Writes the epoch's row if it changed, and forgets the key. */
  save(): void {
    if (this.#isChanged) {
      const row = { ...this.#row, state: this.#state, lastSeq: this.#lastSeq, lastMac: this.#lastMac.toString('hex') };
      this.#tx.streams.putEpoch(sealRow(row, this.#key, this.#deps));
    }
    this.#key.fill(0);
  }

  /** Settles the entry if it is authentic, next in the chain and right about its money; otherwise returns the reason. */
  #settle(entry: Entry): Settled | string {
    if (this.#state === 'quarantined') return 'its stream is quarantined';
    if (this.#state === 'closed') return 'it comes after the end of its epoch';
    if (!timingSafeEqual(entry.previousMac, this.#lastMac)) return 'it does not continue from the entry before it';
    const mac = this.#seal(this.#key, entry.seq, entry.previousMac, commit(Buffer.concat([entry.salt, entry.body])));
    if (!timingSafeEqual(mac, entry.mac)) return 'its MAC does not fit';
    const body = parseBody(entry.body, { ...this.#row, seq: entry.seq });
    if (typeof body === 'string') return body;
    const { stream, epoch, seq } = entry;
    const notes = settleEntry(this.#tx, entry, trusted(this.#tx, stream, body));
    for (const note of notes) this.notes.push({ place: { stream, epoch, seq }, key: body.key, note });
    return notes.find(({ severity }) => severity === 'quarantine')?.message ?? { body, notes };
  }

  #store(entry: Entry, { body, notes }: Settled): void {
    const { stream, epoch, key } = this.#row;
    this.#tx.streams.addEntry({ ...entry, key, type: body.type });
    if (body.type === 'call' && body.breach !== undefined) learn(this.#tx, body.breach);
    if (entry.seq === 0) supersede(this.#tx, { stream, epoch, body, notes }, this.#deps);
    if (body.type === 'epoch_close') this.#state = 'closed';
    this.#released ||= changesGrants(body);
    const used = this.#key;
    this.#key = ratchet(used);
    used.fill(0);
    this.#lastSeq = entry.seq;
    this.#lastMac = entry.mac;
    this.#isChanged = true;
  }

  #quarantine(seq: number, reason: string): string {
    if (this.#state === 'quarantined') return reason;
    this.#state = 'quarantined';
    this.#isChanged = true;
    const { stream, epoch } = this.#row;
    const detail = { epoch: String(epoch), seq: String(seq), reason };
    recordOwn(this.#tx, { type: 'stream_quarantined', object: stream, detail }, this.#deps);
    return reason;
  }
}

function changesGrants({ type }: ProxyBody): boolean {
  return type === 'call' || type === 'release' || type === 'epoch_close' || type === 'epoch_recovered';
}

/** Distrusts a quarantined stream that claims that nothing was lost: what it held burns. */
function trusted(tx: Tx, stream: StreamId, body: ProxyBody): ProxyBody {
  if (body.type !== 'epoch_recovered' || !body.whole) return body;
  return tx.streams.epoch(stream, body.recoveredEpoch)?.state === 'quarantined' ? { ...body, whole: false } : body;
}

function isSame(stored: EntryRow, entry: Entry): boolean {
  return (['mac', 'previousMac', 'salt', 'body'] as const).every((field) => stored[field].equals(entry[field]));
}
