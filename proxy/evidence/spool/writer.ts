import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import type { Segment } from './epochs.ts';
import { createFrameEncoder } from './frame.ts';
import { segmentPath } from './recovery.ts';
import type { Syncer } from './sync.ts';

interface WriterOptions {
  readonly dir: string;
  readonly bootId: string;
  /** A segment is closed before it grows beyond this. */
  readonly segmentBytes: number;
  readonly syncer: Syncer;
  /** Position after the last whole record. */
  readonly end: number;
  readonly onSegment: (segment: Segment) => void;
}

interface ActiveSegment {
  readonly segment: Segment;
  readonly fd: number;
}

/** Appends frames to the newest segment, whole or not at all, and begins the next segment if it is full. */
export class SegmentWriter {
  readonly #options: WriterOptions;
  #active: ActiveSegment | null = null;
  /** True if a partial frame may follow the active segment's last whole frame. */
  #torn = false;
  #end: number;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#end = options.end;
  }

  /** Position after the last whole frame. */
  get end(): number {
    return this.#end;
  }

  /** The segment of the next frame, if it has room; null before the first frame. */
  get active(): Segment | null {
    return this.#active?.segment ?? null;
  }

  /** Appends a frame and returns its segment. If it throws the file system's error, nothing of the frame counts. */
  append(frame: Buffer): Segment {
    const { syncer, segmentBytes } = this.#options;
    try {
      syncer.heal();
      this.#cutTorn();
      const active = this.#active;
      const { segment, fd } = active !== null && active.segment.bytes + frame.length <= segmentBytes ? active : this.#roll();
      this.#torn = true;
      writeWhole(fd, frame, segment.bytes);
      this.#torn = false;
      segment.bytes += frame.length;
      this.#end = segment.base + segment.bytes;
      syncer.touch(fd);
      return segment;
    } catch (error) {
      this.#cutTornIfPossible();
      throw error;
    }
  }

  close(): void {
    if (this.#active !== null) closeSync(this.#active.fd);
    this.#active = null;
  }

  /** Cuts a partial frame off, because recovery stops there and would lose what follows. */
  #cutTorn(): void {
    if (!this.#torn || this.#active === null) return;
    ftruncateSync(this.#active.fd, this.#active.segment.bytes);
    this.#torn = false;
  }

  #cutTornIfPossible(): void {
    try {
      this.#cutTorn();
    } catch {
      // It is cut before the next write.
    }
  }

  #roll(): ActiveSegment {
    const { dir, bootId, syncer, onSegment } = this.#options;
    const base = this.#end;
    const header = createFrameEncoder()('header', { bootId });
    const segment: Segment = { base, path: segmentPath(dir, base), bytes: header.length, heads: new Map(), pins: 0 };
    const fd = openSync(segment.path, 'w+', 0o600);
    try {
      writeWhole(fd, header, 0);
    } catch (error) {
      closeSync(fd); // the next attempt writes the same file again; if there is none, recovery drops it
      throw error;
    }
    syncer.roll(this.#active?.fd ?? null);
    onSegment(segment);
    this.#active = { segment, fd };
    return this.#active;
  }
}

/** Writes all of a frame or throws; a partial write lies beyond the segment's known length. */
function writeWhole(fd: number, frame: Buffer, at: number): void {
  let written = 0;
  while (written < frame.length) written += writeSync(fd, frame, written, frame.length - written, at + written);
}
