import { closeSync, fstatSync, ftruncateSync, openSync, readdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Entry } from '../../../core/audit/types.ts';
import type { Epochs, SavedEpoch, Segment } from './epochs.ts';
import { type PlacedRecord, readFrames } from './frame.ts';

const segmentPattern = /^(\d{16})\.seg$/;

/** Path of the segment that begins at this position. */
export function segmentPath(dir: string, base: number): string {
  return join(dir, `${String(base).padStart(16, '0')}.seg`);
}

/** What `saveEpochs` wrote; `bootId` is of the kernel under which. */
interface Saved {
  readonly bootId: string;
  readonly epochs: readonly SavedEpoch[];
}

/**
 * Writes acknowledgements by atomic rename. It is not synced: after a power cut the boot id shows that nothing here
 * can be relied on, and an older file only makes entries travel twice.
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

/** A file with the length that its whole frames have. */
interface Scanned {
  readonly segment: Segment;
  readonly fileBytes: number;
}

/**
 * Reads everything back into `epochs`. A file that ends in a torn or damaged frame is cut there, and every stream that was
 * not closed is marked not whole. That mark is saved before the cut, so that a crash in between cannot hide the loss.
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
  const cutBytes = scanned.reduce((sum, { segment, fileBytes }) => sum + fileBytes - segment.bytes, 0);
  if (cutBytes > 0 || (saved === null && bases.length > 0)) epochs.distrust();
  if (cutBytes > 0) logger.warn({ dir, cutBytes }, 'the spool had a torn tail: what its streams had not spent is not given back');
  try {
    saveEpochs(dir, bootId, epochs.prune());
    scanned.forEach(cut);
  } catch (error) {
    logger.error({ err: error, dir }, 'the spool could not be written at start: calls are refused until it can');
  }
  return scanned.map(({ segment }) => segment).filter(({ bytes }) => bytes > 0);
}

function listBases(dir: string): number[] {
  const bases = readdirSync(dir).flatMap((name) => segmentPattern.exec(name)?.[1] ?? []);
  return bases.map(Number).sort((a, b) => a - b);
}

function scan(dir: string, base: number, bootId: string, epochs: Epochs): Scanned {
  const segment: Segment = { base, path: segmentPath(dir, base), bytes: 0, heads: new Map(), openCalls: 0 };
  const fd = openSync(segment.path, 'r');
  try {
    const fileBytes = fstatSync(fd).size;
    let sameBoot = true;
    for (const { record, end } of readFrames(fd, 0, fileBytes)) {
      segment.bytes = end;
      if (record.kind === 'header') sameBoot = record.bootId === bootId;
      else if (record.kind === 'open') epochs.noteOpen(segment, record);
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

/** The entries of a spool, in order, without locking or changing it: for `keyforge audit`, while a proxy may be writing. */
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
