import { closeSync, mkdirSync, openSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Entry } from '../../../core/audit/types.ts';
import type { StreamId } from '../../../core/names.ts';
import { Epochs, endOf, type RecoveredStream, type Segment } from './epochs.ts';
import { createFrameEncoder, type RecordMembers, readFrames, type SpoolRecord } from './frame.ts';
import { lockFile } from './lock.ts';
import { type PlacedEntry, Recent } from './recent.ts';
import { recoverSegments, saveEpochs } from './recovery.ts';
import { Syncer } from './sync.ts';
import { SegmentWriter } from './writer.ts';

/** The spool cannot take a record, and wrote nothing of it. The call is refused with `audit_unavailable`; a later call may succeed. */
export class SpoolUnavailable extends Error {
  override readonly name = 'SpoolUnavailable';
}

export interface SpoolOptions {
  /** The folder, created with mode 0700 if it is missing. Only this process may use it. */
  readonly dir: string;
  /** The kernel's boot id: a spool written under another boot may have lost its newest records. */
  readonly bootId: string;
  readonly logger: Logger;
  /** A segment is closed before it grows beyond this; default 8 MiB. */
  readonly segmentBytes?: number;
  /** Maximum time until a record that survives SIGKILL also survives a power cut; default 10. */
  readonly syncDelayMs?: number;
}

/** Entries from a position on, and the position after them. */
export interface SpoolBatch {
  readonly entries: readonly Entry[];
  readonly next: number;
}

/**
 * Holds the proxy's records on disk until the operator has them. Writes are synchronous and survive SIGKILL once they
 * return; a power cut may lose what is younger than `syncDelayMs`. One spool per proxy, for all streams.
 */
export interface Spool {
  /** Streams whose last epoch, of an earlier process, has not closed. A stream leaves the list when it is opened again. */
  readonly recovered: readonly RecoveredStream[];
  /** Writes the open record, before a call is sent. Throws SpoolUnavailable. */
  writeOpen(record: RecordMembers['open']): void;
  /** Writes what the last attempt of an open call cost. Throws SpoolUnavailable. */
  writeOutcome(record: RecordMembers['outcome']): void;
  /** Writes what a group of refusals has counted so far. Throws SpoolUnavailable. */
  writeRefusals(record: RecordMembers['refusals']): void;
  /** Writes an entry. Throws SpoolUnavailable. */
  writeEntry(record: RecordMembers['entry']): void;
  /** Reads unacknowledged entries of all streams, in the order in which they were written. For one reader. */
  read(from: number, max: { readonly entries: number; readonly bytes: number }): SpoolBatch;
  /** Position of the oldest record. */
  start(): number;
  /** Notes that the operator holds a stream up to `seq`. */
  acknowledge(stream: StreamId, epoch: number, seq: number): void;
  /** True if the operator does not have this entry yet. */
  isOwed(stream: StreamId, epoch: number, seq: number): boolean;
  /** Number of unacknowledged entries. */
  owed(): number;
  /** Sets the one listener, which is called after each entry. */
  onEntry(listener: () => void): void;
  /** Resolves when everything written so far is on the disk. */
  synced(): Promise<void>;
  close(): Promise<void>;
}

const savePeriodMs = 1000;
const maxRecentBytes = 1_048_576;

/** Opens, recovers and locks a spool. Throws SpoolUnavailable if another process uses it, otherwise the file system's error. */
export function openSpool(options: SpoolOptions): Spool {
  const { dir, bootId, logger } = options;
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const lock = lockFile(join(dir, 'lock'));
  if (lock === null) throw new SpoolUnavailable(`another process is using ${dir}; end it, or choose another data folder`);
  const epochs = new Epochs();
  const segments = recoverSegments({ dir, bootId, epochs, logger });
  return new DiskSpool(options, { lock, epochs, segments, folder: openSync(dir, 'r') });
}

/** A locked and recovered spool. */
interface RecoveredSpool {
  readonly lock: { readonly release: () => void };
  readonly epochs: Epochs;
  /** Oldest first. */
  readonly segments: Segment[];
  /** Descriptor of the folder. */
  readonly folder: number;
}

class DiskSpool implements Spool {
  readonly #options: SpoolOptions;
  readonly #lock: RecoveredSpool['lock'];
  readonly #epochs: Epochs;
  readonly #segments: Segment[];
  readonly #folder: number;
  readonly #recent: Recent;
  readonly #syncer: Syncer;
  readonly #writer: SegmentWriter;
  readonly #encode = createFrameEncoder();
  #closed = false;
  #saveTimer: NodeJS.Timeout | null = null;
  #listener: () => void = () => {};

  constructor(options: SpoolOptions, { lock, epochs, segments, folder }: RecoveredSpool) {
    const { dir, bootId, logger, segmentBytes = 8 * 1024 * 1024, syncDelayMs = 10 } = options;
    this.#options = options;
    this.#lock = lock;
    this.#epochs = epochs;
    this.#segments = segments;
    this.#folder = folder;
    const end = endOf(segments);
    this.#recent = new Recent(end, maxRecentBytes);
    this.#syncer = new Syncer({ folder, delayMs: syncDelayMs, logger });
    const onSegment = (segment: Segment): unknown => segments.push(segment);
    this.#writer = new SegmentWriter({ dir, bootId, segmentBytes, syncer: this.#syncer, end, onSegment });
  }

  get recovered(): readonly RecoveredStream[] {
    return this.#epochs.unclosed();
  }

  writeOpen(record: RecordMembers['open']): void {
    this.#epochs.noteOpen(this.#write('open', record), record);
  }

  writeOutcome(record: RecordMembers['outcome']): void {
    this.#epochs.noteOutcome(this.#write('outcome', record), record);
  }

  writeRefusals(record: RecordMembers['refusals']): void {
    this.#epochs.noteRefusals(this.#write('refusals', record), record);
  }

  writeEntry(record: RecordMembers['entry']): void {
    this.#epochs.noteEntry(this.#write('entry', record), record);
    this.#recent.add({ entry: record.entry, end: this.#writer.end });
    this.#listener();
  }

  read(from: number, max: { readonly entries: number; readonly bytes: number }): SpoolBatch {
    const entries: Entry[] = [];
    let bytes = 0;
    let next = from;
    for (const { entry, end } of this.#entriesFrom(from)) {
      if (this.isOwed(entry.stream, entry.epoch, entry.seq)) {
        bytes += entry.body.length;
        if (entries.length > 0 && (entries.length === max.entries || bytes > max.bytes)) return { entries, next };
        entries.push(entry);
      }
      next = end;
    }
    return { entries, next: this.#writer.end };
  }

  start(): number {
    return this.#segments[0]?.base ?? this.#writer.end;
  }

  acknowledge(stream: StreamId, epoch: number, seq: number): void {
    this.#epochs.acknowledge(stream, epoch, seq);
    this.#saveTimer ??= setTimeout(() => this.#saveAndTrim(), savePeriodMs).unref();
  }

  isOwed(stream: StreamId, epoch: number, seq: number): boolean {
    return this.#epochs.isOwed(stream, epoch, seq);
  }

  owed(): number {
    return this.#epochs.owed();
  }

  onEntry(listener: () => void): void {
    this.#listener = listener;
  }

  synced(): Promise<void> {
    return this.#syncer.settled();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#syncer.settled();
    if (this.#saveTimer !== null) clearTimeout(this.#saveTimer);
    this.#writer.close();
    this.#saveAndTrim();
    closeSync(this.#folder);
    this.#lock.release();
  }

  #write<K extends SpoolRecord['kind']>(kind: K, record: RecordMembers[K]): Segment {
    if (this.#closed) throw new SpoolUnavailable('the spool is closed');
    const frame = this.#encode(kind, record);
    try {
      return this.#writer.append(frame);
    } catch (error) {
      throw new SpoolUnavailable(`the spool in ${this.#options.dir} cannot take a record: ${(error as Error).message}`, { cause: error });
    }
  }

  *#entriesFrom(position: number): Generator<PlacedEntry> {
    const inMemory = this.#recent.dropUntil(position);
    if (inMemory !== null) yield* inMemory;
    else for (const segment of this.#segments) if (segment.base + segment.bytes > position) yield* storedEntries(segment, position);
  }

  /**
   * Saves acknowledgements before it removes segments. If the disk is full, it still removes the oldest segments to make
   * room. It removes only those, because a hole without an acknowledgement would count as a loss.
   */
  #saveAndTrim(): void {
    const { dir, bootId, logger } = this.#options;
    this.#saveTimer = null;
    try {
      const settled = this.#segments.filter((segment) => this.#isSettled(segment));
      const kept = this.#segments.filter((segment) => !this.#isSettled(segment));
      saveEpochs(dir, bootId, this.#epochs.prune(kept, this.#writer.end));
      this.#trim(settled);
    } catch (error) {
      logger.error({ err: error }, 'the proxy cannot save spool acknowledgements; it may ship entries twice after a restart');
      const firstNeeded = this.#segments.findIndex((segment) => !this.#isSettled(segment));
      this.#trim(this.#segments.slice(0, firstNeeded === -1 ? this.#segments.length : firstNeeded));
    }
  }

  #isSettled(segment: Segment): boolean {
    return segment !== this.#writer.active && this.#epochs.isSettled(segment);
  }

  #trim(settled: readonly Segment[]): void {
    for (const segment of settled) {
      this.#segments.splice(this.#segments.indexOf(segment), 1);
      remove(segment.path, this.#options.logger);
    }
  }
}

function* storedEntries(segment: Segment, position: number): Generator<PlacedEntry> {
  const fd = openSync(segment.path, 'r');
  try {
    for (const { record, end } of readFrames(fd, Math.max(0, position - segment.base), segment.bytes)) {
      if (record.kind === 'entry') yield { entry: record.entry, end: segment.base + end };
    }
  } finally {
    closeSync(fd);
  }
}

function remove(path: string, logger: Logger): void {
  try {
    unlinkSync(path);
  } catch (error) {
    logger.error({ err: error, path }, 'the proxy cannot remove an acknowledged spool segment');
  }
}
