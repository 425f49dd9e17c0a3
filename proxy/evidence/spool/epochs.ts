import type { RefusalGroup } from '../../../core/audit/types.ts';
import type { Reservation } from '../../../core/budget/types.ts';
import type { NanoUsd } from '../../../core/money.ts';
import { type EpochId, epochId, type KeyName, keyOfStream, type StreamId } from '../../../core/names.ts';
import type { RecordMembers } from './frame.ts';

/** One file of the spool. Positions are bytes since the spool began: a record's position is `base` + its offset. */
export interface Segment {
  readonly base: number;
  readonly path: string;
  /** Length up to the last whole frame. */
  bytes: number;
  /** Highest seq in it, by epoch. */
  readonly heads: Map<SpooledEpoch, number>;
  /** Records in it of what has no entry yet: open calls and their outcomes, groups of refusals. */
  pins: number;
}

/** The spool's state of one epoch of one stream. */
interface SpooledEpoch {
  readonly stream: StreamId;
  readonly epoch: number;
  /** Seq of the last entry; -1 if there is none. */
  head: number;
  /** Seq up to which the operator holds it; -1 if it holds nothing. */
  acked: number;
  closed: boolean;
  /** False if records may be lost: a torn tail, a gap, another boot. */
  whole: boolean;
  /** Seq of the last entry that was read or written here; null if none. Entries before the first were trimmed. */
  seen: number | null;
  /** First seq after a gap: the operator can never store it or what follows. */
  lostFrom: number | null;
  /** Calls without an entry, and the segments of their records. */
  readonly openCalls: Map<string, OpenCall>;
  /** Groups without an entry, each with its newest record. */
  readonly refusals: Map<string, { readonly segment: Segment; readonly group: RefusalGroup }>;
}

interface OpenCall {
  readonly segments: Segment[];
  readonly attempts: SpooledAttempt[];
}

/** One reservation of an open call. */
export interface SpooledAttempt {
  readonly reservation: Reservation;
  /** What it cost; null while that is unknown. */
  readonly costNano: NanoUsd | null;
}

/** A call without an entry, and its reservations in the order of their use. */
export interface SpooledCall {
  readonly requestId: string;
  readonly attempts: readonly SpooledAttempt[];
}

/** A stream whose last epoch did not close. */
export interface RecoveredStream {
  readonly stream: StreamId;
  readonly key: KeyName;
  readonly epoch: number;
  /** Last entry of that epoch; -1 if none is known. */
  readonly lastSeq: number;
  /** Same boot and nothing lost: money beyond what the open calls are charged may be released. */
  readonly whole: boolean;
  readonly openCalls: readonly SpooledCall[];
  /** Refusals that were counted and have no entry. */
  readonly refusals: readonly RefusalGroup[];
}

/** What is saved of an epoch beside its records. */
export type SavedEpoch = Pick<SpooledEpoch, 'stream' | 'epoch' | 'acked' | 'closed' | 'whole'>;

/** Keeps the state of epochs, open calls and acknowledgements, and decides what may be trimmed. No I/O. */
export class Epochs {
  readonly #epochs = new Map<EpochId, SpooledEpoch>();
  /** The newest epoch of each stream. */
  readonly #latest = new Map<StreamId, SpooledEpoch>();

  restore(saved: SavedEpoch): void {
    Object.assign(this.#open(saved.stream, saved.epoch), saved, { head: saved.acked });
  }

  noteOpen(segment: Segment, { stream, epoch, requestId, reservation }: RecordMembers['open']): void {
    const { openCalls } = this.#open(stream, epoch);
    const call = openCalls.get(requestId) ?? { segments: [], attempts: [] };
    openCalls.set(requestId, call);
    pin(call, segment);
    if (reservation === undefined) setCost(call, null);
    else call.attempts.push({ reservation, costNano: null });
  }

  noteOutcome(segment: Segment, { stream, epoch, requestId, costNano }: RecordMembers['outcome']): void {
    const call = this.#open(stream, epoch).openCalls.get(requestId);
    if (call === undefined) return;
    pin(call, segment);
    setCost(call, costNano);
  }

  noteRefusals(segment: Segment, { stream, epoch, id, group }: RecordMembers['refusals']): void {
    const state = this.#open(stream, epoch);
    endGroup(state, id);
    segment.pins += 1;
    state.refusals.set(id, { segment, group });
  }

  noteEntry(segment: Segment, { entry, endsCall, endsEpoch }: RecordMembers['entry']): void {
    const state = this.#open(entry.stream, entry.epoch);
    if (state.seen !== null && entry.seq > Math.max(state.seen, state.acked) + 1) {
      state.lostFrom ??= entry.seq;
      state.whole = false;
    }
    if (state.lostFrom !== null) return;
    state.seen = entry.seq;
    state.head = Math.max(state.head, entry.seq);
    state.closed ||= endsEpoch;
    segment.heads.set(state, entry.seq);
    if (endsCall === '') return;
    endCall(state, endsCall);
    endGroup(state, endsCall);
  }

  /** Marks epochs that may have lost records: those of a segment, or all. */
  distrust(segment?: Segment): void {
    for (const state of segment?.heads.keys() ?? this.#latest.values()) state.whole = false;
  }

  acknowledge(stream: StreamId, epoch: number, seq: number): void {
    const state = this.#epochs.get(epochId({ stream, epoch }));
    if (state !== undefined) state.acked = Math.max(state.acked, seq);
  }

  /** True if the operator does not have this entry yet. */
  isOwed(stream: StreamId, epoch: number, seq: number): boolean {
    const state = this.#epochs.get(epochId({ stream, epoch }));
    return state !== undefined && seq > state.acked && (state.lostFrom === null || seq < state.lostFrom);
  }

  /** True if nothing in the segment is needed any more. */
  isSettled(segment: Segment): boolean {
    if (segment.pins > 0) return false;
    for (const [state, seq] of segment.heads) if (state.acked < seq) return false;
    return true;
  }

  /** Number of unacknowledged entries. */
  owed(): number {
    let entries = 0;
    for (const state of this.#epochs.values()) entries += Math.max(0, state.head - state.acked);
    return entries;
  }

  unclosed(): readonly RecoveredStream[] {
    return [...this.#latest.values()].filter((state) => !state.closed).map(recover);
  }

  /** Forgets closed and acknowledged epochs; returns what to save of the others. */
  prune(): readonly SavedEpoch[] {
    for (const [id, state] of this.#epochs) {
      if (!this.#isOver(state)) continue;
      this.#epochs.delete(id);
      if (this.#latest.get(state.stream) === state) this.#latest.delete(state.stream);
    }
    return [...this.#epochs.values()].map(({ stream, epoch, acked, closed, whole }) => ({ stream, epoch, acked, closed, whole }));
  }

  #open(stream: StreamId, epoch: number): SpooledEpoch {
    const id = epochId({ stream, epoch });
    const known = this.#epochs.get(id);
    if (known !== undefined) return known;
    const made: SpooledEpoch = {
      stream,
      epoch,
      head: -1,
      acked: -1,
      closed: false,
      whole: true,
      seen: null,
      lostFrom: null,
      openCalls: new Map(),
      refusals: new Map(),
    };
    this.#epochs.set(id, made);
    const previous = this.#latest.get(stream);
    if (previous === undefined || previous.epoch < epoch) this.#latest.set(stream, made);
    if (previous !== undefined && previous.epoch < epoch) supersede(previous);
    return made;
  }

  #isOver(state: SpooledEpoch): boolean {
    return (state.closed || this.#latest.get(state.stream) !== state) && state.acked >= state.head;
  }
}

/** Keeps a segment until the call has ended. */
function pin(call: OpenCall, segment: Segment): void {
  call.segments.push(segment);
  segment.pins += 1;
}

function setCost({ attempts }: OpenCall, costNano: NanoUsd | null): void {
  const last = attempts.pop();
  if (last !== undefined) attempts.push({ ...last, costNano });
}

function endCall(state: SpooledEpoch, requestId: string): void {
  for (const segment of state.openCalls.get(requestId)?.segments ?? []) segment.pins -= 1;
  state.openCalls.delete(requestId);
}

function endGroup(state: SpooledEpoch, id: string): void {
  const known = state.refusals.get(id);
  if (known === undefined) return;
  known.segment.pins -= 1;
  state.refusals.delete(id);
}

/** The first entry of a new epoch charges the calls and counts the refusals that had no entry in the previous one. */
function supersede(previous: SpooledEpoch): void {
  for (const requestId of previous.openCalls.keys()) endCall(previous, requestId);
  for (const id of previous.refusals.keys()) endGroup(previous, id);
}

function recover(state: SpooledEpoch): RecoveredStream {
  const openCalls = [...state.openCalls].map(([requestId, { attempts }]) => ({ requestId, attempts }));
  const refusals = [...state.refusals.values()].map(({ group }) => group);
  const { stream, epoch, head: lastSeq, whole } = state;
  return { stream, key: keyOfStream(stream), epoch, lastSeq, whole, openCalls, refusals };
}
