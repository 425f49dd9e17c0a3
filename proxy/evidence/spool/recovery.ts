import { closeSync, fstatSync, ftruncateSync, openSync, readdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Entry } from '../../../core/audit/types.ts';
import { type Epochs, endOf, type SavedEpoch, type Segment } from './epochs.ts';
import { type PlacedRecord, readFrames } from './frame.ts';

const segmentPattern = /^(\d{16})\.seg$/;

/** Path of the segment that begins at this position. */
export function segmentPath(dir: string, base: number): string {
  return join(dir, `${String(base).padStart(16, '0')}.seg`);
}

/** The file of `saveEpochs`, with the boot id of the kernel at that time. */
interface Saved {
  readonly bootId: string;
  readonly epochs: readonly SavedEpoch[];
}

/**
 * Writes acknowledgements by atomic rename, without a sync. After a power cut, the boot id shows that the file is not
 * reliable. An older file only makes the proxy ship entries twice.
 */
export function saveEpochs(dir: string, bootId: string, epochs: readonly SavedEpoch[]): void {
  const saved: Saved = { bootId, epochs };
  const path = join(dir, 'acks.json');
  writeFileSync(`${path}.new`, JSON.stringify(saved), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

function readSaved(dir: string): Saved | null {
  try {
    return JSON.parse(readFileSync(join(dir, 'acks.json'), 'utf8')) as Saved;
  } catch {
    return null; // none yet, or lost in a power cut
  }
}

/** A file, and the length of its whole frames. */
interface Scanned {
  readonly segment: Segment;
  readonly fileBytes: number;
}

/**
 * Reads everything back into `epochs`. If a file ends in a torn or damaged frame, it is cut there, and every open stream is
 * marked as not whole. That mark is saved before the cut, so that a crash in between cannot hide the loss.
 */
export function recoverSegments(from: {
  readonly dir: string;
  readonly bootId: string;
  readonly epochs: Epochs;
  readonly logger: Logger;
}): Segment[] {
  const { dir, bootId, epochs, logger } = from;
  const bases = listBases(dir);
  const saved = readSaved(dir);
  for (const each of saved?.epochs ?? []) epochs.restore({ ...each, whole: each.whole && saved?.bootId === bootId });
  const scanned = bases.map((base) => scan(dir, base, bootId, epochs));
  const segments = scanned.map(({ segment }) => segment).filter(({ bytes }) => bytes > 0);
  const cutBytes = scanned.reduce((sum, { segment, fileBytes }) => sum + fileBytes - segment.bytes, 0);
  if (cutBytes > 0 || (saved === null && bases.length > 0)) epochs.distrust();
  if (cutBytes > 0) logger.warn({ dir, cutBytes }, 'the spool had a torn tail; the unspent money of its streams is not released');
  try {
    saveEpochs(dir, bootId, epochs.prune(segments, endOf(segments)));
    scanned.forEach(cut);
  } catch (error) {
    logger.error({ err: error, dir }, 'the proxy cannot write the spool at start; it refuses calls until it can');
  }
  return segments;
}

function listBases(dir: string): number[] {
  const bases = readdirSync(dir).flatMap((name) => segmentPattern.exec(name)?.[1] ?? []);
  return bases.map(Number).sort((a, b) => a - b);
}

function scan(dir: string, base: number, bootId: string, epochs: Epochs): Scanned {
  const segment: Segment = { base, path: segmentPath(dir, base), bytes: 0, heads: new Map(), pins: 0 };
  const fd = openSync(segment.path, 'r');
  try {
    const fileBytes = fstatSync(fd).size;
    let sameBoot = true;
    for (const { record, end } of readFrames(fd, 0, fileBytes)) {
      segment.bytes = end;
      if (record.kind === 'header') sameBoot = record.bootId === bootId;
      else if (record.kind === 'open') epochs.noteOpen(segment, record);
      else if (record.kind === 'outcome') epochs.noteOutcome(segment, record);
      else if (record.kind === 'refusals') epochs.noteRefusals(segment, record);
      else epochs.noteEntry(segment, record);
    }
    if (!sameBoot) epochs.distrust(segment);
    return { segment, fileBytes };
  } finally {
    closeSync(fd);
  }
}

function cut({ segment, fileBytes }: Scanned): void {
  if (segment.bytes === 0) unlinkSync(segment.path);
  if (segment.bytes === 0 || segment.bytes === fileBytes) return;
  const fd = openSync(segment.path, 'r+');
  ftruncateSync(fd, segment.bytes);
  closeSync(fd);
}

/** The entries of a spool, in order, for `keyforge audit`. It neither locks nor changes the spool, which a proxy may be writing. */
export function* readSpooledEntries(dir: string): Generator<Entry> {
  for (const base of listBases(dir)) {
    for (const { record } of readWhole(segmentPath(dir, base))) if (record.kind === 'entry') yield record.entry;
  }
}

function* readWhole(path: string): Generator<PlacedRecord> {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return; // trimmed since it was listed
  }
  try {
    yield* readFrames(fd, 0, fstatSync(fd).size);
  } finally {
    closeSync(fd);
  }
}
