import { closeSync, mkdirSync, openSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Entry } from '../../../core/audit/types.ts';
import type { StreamId } from '../../../core/names.ts';
import { Epochs, type RecoveredStream, type Segment } from './epochs.ts';
import { createFrameEncoder, type EntryRecord, type OpenRecord, readFrames, type SpoolRecord } from './frame.ts';
import { lockFile } from './lock.ts';
import { type PlacedEntry, Recent } from './recent.ts';
import { recoverSegments, saveEpochs } from './recovery.ts';
import { Syncer } from './sync.ts';
import { SegmentWriter } from './writer.ts';

/** The spool cannot take a record: nothing of it was written. The call is refused with `audit_unavailable`; a later one may pass. */
export class SpoolUnavailable extends Error {
  override readonly name = 'SpoolUnavailable';
}

export interface SpoolOptions {
  /** Made where it is missing (0700); this process alone may use it. */
  readonly dir: string;
  /** The kernel's boot id: a spool written under another boot may have lost its newest records. */
  readonly bootId: string;
  readonly logger: Logger;
  /** A segment is closed before it grows beyond this; default 8 MiB. */
  readonly segmentBytes?: number;
  /** Longest time until a record that survives SIGKILL also survives a power cut; default 10. */
  readonly syncDelayMs?: number;
}

/** Entries from a position on, and the position after them. */
export interface SpoolBatch {
  readonly entries: readonly Entry[];
  readonly next: number;
}

/**
 * The proxy's records on disk until the operator has them. Writes are synchronous and survive SIGKILL when they return;
 * a power cut may take what is younger than `syncDelayMs`. One per proxy, for all streams.
 */
export interface Spool {
  /** Streams whose last epoch has not closed: until a stream is opened again, that of an earlier process. */
  readonly recovered: readonly RecoveredStream[];
  /** To be called before a call is dispatched. Throws SpoolUnavailable. */
  writeOpen(record: Omit<OpenRecord, 'kind'>): void;
  /** Throws SpoolUnavailable. */
  writeEntry(record: Omit<EntryRecord, 'kind'>): void;
  /** Entries that are not acknowledged, of all streams, in the order in which they were written. For one reader. */
  read(from: number, max: { readonly entries: number; readonly bytes: number }): SpoolBatch;
  /** Position of the oldest record. */
  start(): number;
  /** Notes that the operator holds a stream up to `seq`. */
  acknowledge(stream: StreamId, epoch: number, seq: number): void;
  /** True where the operator still has to get this entry. */
  isOwed(stream: StreamId, epoch: number, seq: number): boolean;
  /** Entries not acknowledged. */
  owed(): number;
  /** Called after each entry; one listener. */
  onEntry(listener: () => void): void;
  /** Resolves when what was written before is on the disk. */
  synced(): Promise<void>;
  close(): Promise<void>;
}

const savePeriodMs = 1000;
const maxRecentBytes = 1_048_576;

/** Opens, recovers and locks a spool. Throws SpoolUnavailable where another process has it; else what the file system says. */
export function openSpool(options: SpoolOptions): Spool {
  const { dir, bootId, logger } = options;
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const lock = lockFile(join(dir, 'lock'));
  if (lock === null) throw new SpoolUnavailable(`another process is using ${dir}; end it, or choose another data folder`);
  const epochs = new Epochs();
  const segments = recoverSegments({ dir, bootId, epochs, logger });
  return new DiskSpool(options, { lock, epochs, segments, folder: openSync(dir, 'r') });
}

/** A spool that is locked and read back. */
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
    const last = segments.at(-1);
    const end = last === undefined ? 0 : last.base + last.bytes;
    this.#recent = new Recent(end, maxRecentBytes);
    this.#syncer = new Syncer({ folder, delayMs: syncDelayMs, logger });
    const onSegment = (segment: Segment): unknown => segments.push(segment);
    this.#writer = new SegmentWriter({ dir, bootId, segmentBytes, syncer: this.#syncer, end, onSegment });
  }

  get recovered(): readonly RecoveredStream[] {
    return this.#epochs.unclosed();
  }

  writeOpen(record: Omit<OpenRecord, 'kind'>): void {
    this.#epochs.noteOpen(this.#write({ kind: 'open', ...record }), record);
  }

  writeEntry(record: Omit<EntryRecord, 'kind'>): void {
    this.#epochs.noteEntry(this.#write({ kind: 'entry', ...record }), record);
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

  #write(record: SpoolRecord): Segment {
    if (this.#closed) throw new SpoolUnavailable('the spool is closed');
    const frame = this.#encode(record);
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
   * Acknowledgements are saved before segments go. Where the disk is full the oldest go all the same, which makes room;
   * only those, since a hole that no acknowledgement explains would be taken for a loss.
   */
  #saveAndTrim(): void {
    const { dir, bootId, logger } = this.#options;
    this.#saveTimer = null;
    try {
      saveEpochs(dir, bootId, this.#epochs.prune());
      this.#trim(this.#segments.filter((segment) => this.#isSettled(segment)));
    } catch (error) {
      logger.error({ err: error }, 'spool acknowledgements were not saved: entries may travel twice after a restart');
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
    logger.error({ err: error, path }, 'an acknowledged spool segment could not be removed');
  }
}
