import { closeSync, ftruncateSync, mkdirSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Entry } from '../../../core/audit/types.ts';
import type { StreamId } from '../../../core/names.ts';
import { createEpochs, type RecoveredStream, type Segment } from './epochs.ts';
import { createFrameEncoder, type EntryRecord, type OpenRecord, readFrames, type SpoolRecord } from './frame.ts';
import { lockFile } from './lock.ts';
import { createRecent, type PlacedEntry } from './recent.ts';
import { recoverSegments, saveEpochs, segmentPath } from './recovery.ts';
import { createSyncer } from './sync.ts';

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
  /** Streams whose last epoch has not closed: until a stream is opened again, that of a process before. */
  readonly recovered: readonly RecoveredStream[];
  /** To be called before a call is dispatched. Throws SpoolUnavailable. */
  writeOpen(record: Omit<OpenRecord, 'kind'>): void;
  /** Throws SpoolUnavailable. */
  writeEntry(record: Omit<EntryRecord, 'kind'>): void;
  /** Entries that are not acknowledged, of all streams, in the order in which they were written. For one reader. */
  read(from: number, most: { readonly entries: number; readonly bytes: number }): SpoolBatch;
  /** Position of the oldest record. */
  start(): number;
  /** Says that the operator holds a stream up to `seq`. */
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

interface ActiveSegment {
  readonly segment: Segment;
  readonly fd: number;
}

const savePeriodMs = 1000;
const mostRecentBytes = 1_048_576;

/** Opens, recovers and locks a spool. Throws SpoolUnavailable where another process has it; else what the file system says. */
export function openSpool(options: SpoolOptions): Spool {
  const { dir, bootId, logger, segmentBytes = 8 * 1024 * 1024, syncDelayMs = 10 } = options;
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const lock = lockFile(join(dir, 'lock'));
  if (lock === null) throw new SpoolUnavailable(`another process is using ${dir}; end it, or choose another data folder`);

  const epochs = createEpochs();
  const segments = recoverSegments({ dir, bootId, epochs, logger });
  const last = segments.at(-1);
  let end = last === undefined ? 0 : last.base + last.bytes;
  const recent = createRecent(end, mostRecentBytes);
  const folder = openSync(dir, 'r');
  const syncer = createSyncer({ folder, delayMs: syncDelayMs, logger });
  const encode = createFrameEncoder();
  let active: ActiveSegment | null = null;
  /** True where a partial frame may lie behind the active segment's last whole one. */
  let torn = false;
  let closed = false;
  let saveTimer: NodeJS.Timeout | null = null;
  let listener: () => void = () => undefined;

  function write(record: SpoolRecord): Segment {
    if (closed) throw new SpoolUnavailable('the spool is closed');
    const frame = encode(record);
    try {
      syncer.heal();
      cutTorn();
      const { segment, fd } = active !== null && active.segment.bytes + frame.length <= segmentBytes ? active : roll();
      torn = true;
      writeWhole(fd, frame, segment.bytes);
      torn = false;
      segment.bytes += frame.length;
      end = segment.base + segment.bytes;
      syncer.touch(fd);
      return segment;
    } catch (error) {
      ignoreFailure(cutTorn); // else it is cut before the next write
      throw new SpoolUnavailable(`the spool in ${dir} cannot take a record: ${(error as Error).message}`, { cause: error });
    }
  }

  /** Nothing is written behind a partial frame: recovery would stop there and lose it. */
  function cutTorn(): void {
    if (!torn || active === null) return;
    ftruncateSync(active.fd, active.segment.bytes);
    torn = false;
  }

  function roll(): ActiveSegment {
    const header = createFrameEncoder()({ kind: 'header', bootId });
    const segment: Segment = { base: end, path: segmentPath(dir, end), bytes: header.length, heads: new Map(), openCalls: 0 };
    const fd = openSync(segment.path, 'w+', 0o600);
    try {
      writeWhole(fd, header, 0);
    } catch (error) {
      closeSync(fd); // the next attempt writes the same file anew; recovery drops it
      throw error;
    }
    syncer.roll(active === null ? null : active.fd);
    segments.push(segment);
    active = { segment, fd };
    return active;
  }

  function* entriesFrom(position: number): Generator<PlacedEntry> {
    const inMemory = recent.after(position);
    if (inMemory !== null) yield* inMemory;
    else for (const segment of segments) if (segment.base + segment.bytes > position) yield* storedEntries(segment, position);
  }

  function read(from: number, most: { readonly entries: number; readonly bytes: number }): SpoolBatch {
    const entries: Entry[] = [];
    let bytes = 0;
    let next = from;
    for (const { entry, end: after } of entriesFrom(from)) {
      if (epochs.isOwed(entry.stream, entry.epoch, entry.seq)) {
        bytes += entry.body.length;
        if (entries.length > 0 && (entries.length === most.entries || bytes > most.bytes)) return { entries, next };
        entries.push(entry);
      }
      next = after;
    }
    return { entries, next: end };
  }

  /**
   * Acknowledgements are saved before segments go. Where the disk is full the oldest go all the same, which makes room;
   * only those, since a hole that no acknowledgement explains would be taken for a loss.
   */
  function saveAndTrim(): void {
    saveTimer = null;
    try {
      saveEpochs(dir, bootId, epochs.save());
      trim(segments.filter(isSettled));
    } catch (error) {
      logger.error({ err: error }, 'spool acknowledgements were not saved: entries may travel twice after a restart');
      const firstNeeded = segments.findIndex((segment) => !isSettled(segment));
      trim(segments.slice(0, firstNeeded === -1 ? segments.length : firstNeeded));
    }
  }

  function isSettled(segment: Segment): boolean {
    return segment !== active?.segment && epochs.isSettled(segment);
  }

  function trim(settled: readonly Segment[]): void {
    for (const segment of settled) {
      segments.splice(segments.indexOf(segment), 1);
      remove(segment.path, logger);
    }
  }

  return {
    get recovered() {
      return epochs.unclosed();
    },
    writeOpen(record) {
      epochs.noteOpen(write({ kind: 'open', ...record }), record);
    },
    writeEntry(record) {
      epochs.noteEntry(write({ kind: 'entry', ...record }), record);
      recent.add({ entry: record.entry, end });
      listener();
    },
    read,
    start: () => segments[0]?.base ?? end,
    acknowledge(stream, epoch, seq) {
      epochs.acknowledge(stream, epoch, seq);
      saveTimer ??= setTimeout(saveAndTrim, savePeriodMs).unref();
    },
    isOwed: epochs.isOwed,
    owed: epochs.owed,
    onEntry(call) {
      listener = call;
    },
    synced: syncer.settled,
    async close() {
      closed = true;
      await syncer.settled();
      if (saveTimer !== null) clearTimeout(saveTimer);
      if (active !== null) closeSync(active.fd);
      active = null;
      saveAndTrim();
      closeSync(folder);
      lock.release();
    },
  };
}

function ignoreFailure(attempt: () => void): void {
  try {
    attempt();
  } catch {
    // The caller has a later chance.
  }
}

/** Writes all of a frame or throws; what was written in part lies behind the segment's known length. */
function writeWhole(fd: number, frame: Buffer, at: number): void {
  let written = 0;
  while (written < frame.length) written += writeSync(fd, frame, written, frame.length - written, at + written);
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
