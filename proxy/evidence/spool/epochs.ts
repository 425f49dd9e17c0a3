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
  /** Highest seq in it, by epoch; -1 where it has other records of the epoch, and no entry. */
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
  /** True if nothing of it is left to recover: it ended, or a later epoch of the stream began. */
  closed: boolean;
  /** False if records may be lost: a torn tail, a gap, another boot. */
  whole: boolean;
  /** True if an earlier process saved it. */
  restored: boolean;
  /** Seq of the last entry that was read or written here; null if none. Entries before the first were trimmed. */
  seen: number | null;
  /** First seq after a gap: the operator can never store it or what follows. */
  lostFrom: number | null;
  /** Calls without an entry, and the segments of their records. */
  readonly openCalls: Map<string, OpenCall>;
  /** Groups of refusals without an entry. */
  readonly refusals: Map<string, OpenGroup>;
  /** Calls and groups whose end is in a later segment than their first record, and the segments of their records. */
  readonly ended: Map<string, Segment[]>;
}

interface OpenCall {
  /** Of its records, each once, oldest first. */
  readonly segments: Segment[];
  readonly attempts: SpooledAttempt[];
}

interface OpenGroup {
  /** Of its records, each once, oldest first. The last one has the record that counts, and stays until the group has ended. */
  readonly segments: Segment[];
  readonly group: RefusalGroup;
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
export interface SavedEpoch extends Pick<SpooledEpoch, 'stream' | 'epoch' | 'acked' | 'closed' | 'whole'> {
  /** Calls and groups that have records in the spool, and ended in a segment that is gone. */
  readonly ended?: readonly string[];
}

/** Keeps the state of epochs, open calls and acknowledgements, and decides what may be trimmed. No I/O. */
export class Epochs {
  readonly #epochs = new Map<EpochId, SpooledEpoch>();
  /** The newest epoch of each stream. */
  readonly #latest = new Map<StreamId, SpooledEpoch>();

  restore({ stream, epoch, acked, closed, whole, ended = [] }: SavedEpoch): void {
    const state = this.#open(stream, epoch);
    Object.assign(state, { acked, closed, whole, head: acked, restored: true });
    for (const id of ended) state.ended.set(id, []);
  }

  noteOpen(segment: Segment, { stream, epoch, requestId, reservation }: RecordMembers['open']): void {
    const state = this.#note(segment, stream, epoch);
    if (hasEnded(state, requestId, segment)) return;
    const call = state.openCalls.get(requestId) ?? { segments: [], attempts: [] };
    state.openCalls.set(requestId, call);
    pin(call, segment);
    if (reservation === undefined) setCost(call, null);
    else call.attempts.push({ reservation, costNano: null });
  }

  noteOutcome(segment: Segment, { stream, epoch, requestId, costNano }: RecordMembers['outcome']): void {
    const state = this.#note(segment, stream, epoch);
    const call = state.openCalls.get(requestId);
    if (hasEnded(state, requestId, segment) || call === undefined) return;
    pin(call, segment);
    setCost(call, costNano);
  }

  noteRefusals(segment: Segment, { stream, epoch, id, group }: RecordMembers['refusals']): void {
    const state = this.#note(segment, stream, epoch);
    if (hasEnded(state, id, segment)) return;
    const { segments } = state.refusals.get(id) ?? { segments: [] };
    unpin(segments.slice(-1));
    segment.pins += 1;
    addTo(segments, segment);
    state.refusals.set(id, { segments, group });
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
    if (endsCall !== '') end(state, endsCall, segment);
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

  /**
   * Forgets closed and acknowledged epochs; returns what to save of the others. `kept`: the segments that stay, of a spool that
   * ends at `end`. Where later segments are gone, those that stay no longer say what has ended: that is saved instead.
   */
  prune(kept: readonly Segment[], end: number): readonly SavedEpoch[] {
    const outdated = beforeHole(kept, end);
    const saved: SavedEpoch[] = [];
    for (const [id, state] of this.#epochs) {
      forgetEnded(state, kept);
      // A process that begins continues where the last segment ends: it does not see what was trimmed before.
      const segments = state.restored ? kept : outdated;
      if (!this.#isOver(state) || segments.some(({ heads }) => heads.has(state))) {
        saved.push(save(state, segments));
        continue;
      }
      this.#epochs.delete(id);
      if (this.#latest.get(state.stream) === state) this.#latest.delete(state.stream);
    }
    return saved;
  }

  /** The epoch of a record that is no entry. */
  #note(segment: Segment, stream: StreamId, epoch: number): SpooledEpoch {
    const state = this.#open(stream, epoch);
    if (!segment.heads.has(state)) segment.heads.set(state, -1);
    return state;
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
      restored: false,
      seen: null,
      lostFrom: null,
      openCalls: new Map(),
      refusals: new Map(),
      ended: new Map(),
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
function pin({ segments }: OpenCall, segment: Segment): void {
  if (segments.at(-1) !== segment) segment.pins += 1;
  addTo(segments, segment);
}

function unpin(segments: readonly Segment[]): void {
  for (const segment of segments) segment.pins -= 1;
}

function addTo(segments: Segment[], segment: Segment): void {
  if (segments.at(-1) !== segment) segments.push(segment);
}

function setCost({ attempts }: OpenCall, costNano: NanoUsd | null): void {
  const last = attempts.pop();
  if (last !== undefined) attempts.push({ ...last, costNano });
}

/** Ends a call or a group with the entry in this segment. */
function end(state: SpooledEpoch, id: string, segment: Segment): void {
  const segments = release(state, id);
  if (segments.length > 0 && segments[0] !== segment) state.ended.set(id, segments);
}

/** Unpins the segments of an open call or group; returns those that have records of it. */
function release({ openCalls, refusals }: SpooledEpoch, id: string): Segment[] {
  const call = openCalls.get(id);
  const group = refusals.get(id);
  unpin(call?.segments ?? group?.segments.slice(-1) ?? []);
  openCalls.delete(id);
  refusals.delete(id);
  return call?.segments ?? group?.segments ?? [];
}

/** True for a record that is read back, of what ended in a segment that is gone. */
function hasEnded({ closed, ended }: SpooledEpoch, id: string, segment: Segment): boolean {
  const segments = ended.get(id);
  if (segments !== undefined) addTo(segments, segment);
  return closed || segments !== undefined;
}

/** The first entry of a new epoch charges the calls and counts the refusals that had no entry in the previous one. */
function supersede(previous: SpooledEpoch): void {
  for (const id of [...previous.openCalls.keys(), ...previous.refusals.keys()]) release(previous, id);
  previous.closed = true;
}

/** Position after the last of these segments, the oldest of which is first. */
export function endOf(segments: readonly Segment[]): number {
  const last = segments.at(-1);
  return last === undefined ? 0 : last.base + last.bytes;
}

/** The segments before the last hole. */
function beforeHole(kept: readonly Segment[], end: number): readonly Segment[] {
  const last = kept.findLastIndex(({ base, bytes }, index) => base + bytes !== (kept[index + 1]?.base ?? end));
  return kept.slice(0, last + 1);
}

function forgetEnded({ ended }: SpooledEpoch, kept: readonly Segment[]): void {
  for (const [id, segments] of ended) if (!kept.some((segment) => segments.includes(segment))) ended.delete(id);
}

function save({ stream, epoch, acked, closed, whole, ended }: SpooledEpoch, within: readonly Segment[]): SavedEpoch {
  const ids = [...ended].filter(([, segments]) => within.some((segment) => segments.includes(segment))).map(([id]) => id);
  return { stream, epoch, acked, closed, whole, ...(ids.length === 0 ? {} : { ended: ids }) };
}

function recover(state: SpooledEpoch): RecoveredStream {
  const openCalls = [...state.openCalls].map(([requestId, { attempts }]) => ({ requestId, attempts }));
  const refusals = [...state.refusals.values()].map(({ group }) => group);
  const { stream, epoch, head: lastSeq, whole } = state;
  return { stream, key: keyOfStream(stream), epoch, lastSeq, whole, openCalls, refusals };
}
