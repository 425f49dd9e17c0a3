import { readSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { macBytes, saltBytes } from '../../../core/audit/entry.ts';
import type { Entry, RefusalGroup } from '../../../core/audit/types.ts';
import type { Reservation } from '../../../core/budget/types.ts';
import type { NanoUsd } from '../../../core/money.ts';
import { type StreamId, storedStream } from '../../../core/names.ts';

/** First record of each segment. */
interface HeaderRecord {
  readonly kind: 'header';
  /** Boot id of the kernel that wrote the segment: after another boot, its page cache may be lost. */
  readonly bootId: string;
}

/** Written before each attempt of a call is sent. */
interface OpenRecord {
  readonly kind: 'open';
  readonly stream: StreamId;
  readonly epoch: number;
  readonly requestId: string;
  /** Absent: the call's last reservation, in use again. */
  readonly reservation?: Reservation;
}

/** Written when the cost of a call's last attempt is certain and its entry is not written yet. */
interface OutcomeRecord {
  readonly kind: 'outcome';
  readonly stream: StreamId;
  readonly epoch: number;
  readonly requestId: string;
  /** 0: the provider does not bill the attempt. */
  readonly costNano: NanoUsd;
}

/** What a group of refusals has counted so far. Each replaces the one before it, until the group's entry. */
interface RefusalsRecord {
  readonly kind: 'refusals';
  readonly stream: StreamId;
  readonly epoch: number;
  /** Of the group; no request has this id. */
  readonly id: string;
  readonly group: RefusalGroup;
}

interface EntryRecord {
  readonly kind: 'entry';
  readonly entry: Entry;
  /** The open call or group of refusals that this entry ends; empty if none. */
  readonly endsCall: string;
  /** True on an epoch's `epoch_close`. */
  readonly endsEpoch: boolean;
}

type TextRecord = HeaderRecord | OpenRecord | OutcomeRecord | RefusalsRecord;
export type SpoolRecord = TextRecord | EntryRecord;
/** The members of each kind of record beside its kind. */
export type RecordMembers = { readonly [R in SpoolRecord as R['kind']]: Omit<R, 'kind'> };

/** A frame: length and CRC-32 of its payload (32 bits each, little endian), then the payload. */
const frameHeadBytes = 8;
/** No frame is larger, so that a reader needs one buffer of this size. */
export const maxFrameBytes = 1_048_576;

const tagHeader = 1;
const tagOpen = 2;
const tagEntry = 3;
const tagLastEntry = 4;
const tagOutcome = 5;
const tagRefusals = 6;
const textTags: Readonly<Record<TextRecord['kind'], number>> = {
  header: tagHeader,
  open: tagOpen,
  outcome: tagOutcome,
  refusals: tagRefusals,
};
/** Tag, epoch and seq (48 bits each, little endian), two MACs, salt, and the lengths of stream and request id. */
const entryHeadBytes = 1 + 6 + 6 + 2 * macBytes + saltBytes + 2 + 2;

type EncodeFrame = <K extends SpoolRecord['kind']>(kind: K, members: RecordMembers[K]) => Buffer;

/** Makes an encoder that reuses one buffer: a frame is valid until the next. Throws RangeError if a record is too large. */
export function createFrameEncoder(): EncodeFrame {
  let buffer = Buffer.allocUnsafe(16_384);

  function reserve(payloadBytes: number): void {
    const bytes = frameHeadBytes + payloadBytes;
    if (bytes > maxFrameBytes) throw new RangeError(`a spool record of ${bytes} bytes is larger than ${maxFrameBytes}`);
    if (bytes > buffer.length) buffer = Buffer.allocUnsafe(bytes * 2);
  }

  function seal(end: number): Buffer {
    buffer.writeUInt32LE(end - frameHeadBytes, 0);
    buffer.writeUInt32LE(crc32(buffer.subarray(frameHeadBytes, end)), 4);
    return buffer.subarray(0, end);
  }

  function encodeText(tag: number, text: string): Buffer {
    reserve(1 + Buffer.byteLength(text));
    buffer[frameHeadBytes] = tag;
    return seal(frameHeadBytes + 1 + buffer.write(text, frameHeadBytes + 1));
  }

  function encodeEntry({ entry, endsCall, endsEpoch }: RecordMembers['entry']): Buffer {
    const streamBytes = Buffer.byteLength(entry.stream);
    const callBytes = Buffer.byteLength(endsCall);
    reserve(entryHeadBytes + streamBytes + callBytes + entry.body.length);
    let at = frameHeadBytes;
    buffer[at] = endsEpoch ? tagLastEntry : tagEntry;
    at = buffer.writeUIntLE(entry.epoch, at + 1, 6);
    at = buffer.writeUIntLE(entry.seq, at, 6);
    for (const bytes of [entry.previousMac, entry.mac, entry.salt]) {
      buffer.set(bytes, at);
      at += bytes.length;
    }
    at = buffer.writeUInt16LE(streamBytes, at);
    at = buffer.writeUInt16LE(callBytes, at);
    at += buffer.write(entry.stream, at);
    at += buffer.write(endsCall, at);
    buffer.set(entry.body, at);
    return seal(at + entry.body.length);
  }

  return (kind, members) =>
    kind === 'entry'
      ? encodeEntry(members as RecordMembers['entry'])
      : encodeText(textTags[kind as TextRecord['kind']], JSON.stringify(members));
}

/** A record, and the position in the file at which its frame ends. */
export interface PlacedRecord {
  readonly record: SpoolRecord;
  readonly end: number;
}

/** Reads whole frames of an open file between two offsets. It stops at the first torn or damaged frame. */
export function* readFrames(fd: number, from: number, to: number): Generator<PlacedRecord> {
  let start = from;
  while (start < to) {
    const chunk = Buffer.allocUnsafe(Math.min(maxFrameBytes, to - start));
    const read = readSync(fd, chunk, 0, chunk.length, start);
    let at = 0;
    for (let end = frameEnd(chunk, at, read); end !== null; end = frameEnd(chunk, at, read)) {
      const record = decode(chunk.subarray(at + frameHeadBytes, end));
      if (record === null) return;
      at = end;
      yield { record, end: start + at };
    }
    if (at === 0) return;
    start += at;
  }
}

/** The end of the frame at `at`; null if the frame is incomplete or its CRC is wrong. */
function frameEnd(chunk: Buffer, at: number, size: number): number | null {
  if (at + frameHeadBytes >= size) return null;
  const end = at + frameHeadBytes + chunk.readUInt32LE(at);
  if (end > size || end === at + frameHeadBytes) return null;
  return crc32(chunk.subarray(at + frameHeadBytes, end)) === chunk.readUInt32LE(at + 4) ? end : null;
}

function decode(payload: Buffer): SpoolRecord | null {
  const tag = payload[0];
  if (tag === tagHeader) return { kind: 'header', ...decodeText<HeaderRecord>(payload) };
  if (tag === tagOpen) return { kind: 'open', ...decodeText<OpenRecord>(payload) };
  if (tag === tagOutcome) return { kind: 'outcome', ...decodeText<OutcomeRecord>(payload) };
  if (tag === tagRefusals) return { kind: 'refusals', ...decodeText<RefusalsRecord>(payload) };
  if ((tag !== tagEntry && tag !== tagLastEntry) || payload.length < entryHeadBytes) return null;
  const macAt = 13 + macBytes;
  const saltAt = macAt + macBytes;
  const lengthsAt = saltAt + saltBytes;
  const callAt = entryHeadBytes + payload.readUInt16LE(lengthsAt);
  const bodyAt = callAt + payload.readUInt16LE(lengthsAt + 2);
  const entry: Entry = {
    stream: storedStream(payload.toString('utf8', entryHeadBytes, callAt)),
    epoch: payload.readUIntLE(1, 6),
    seq: payload.readUIntLE(7, 6),
    previousMac: payload.subarray(13, macAt),
    mac: payload.subarray(macAt, saltAt),
    salt: payload.subarray(saltAt, lengthsAt),
    body: payload.subarray(bodyAt),
  };
  return { kind: 'entry', entry, endsCall: payload.toString('utf8', callAt, bodyAt), endsEpoch: tag === tagLastEntry };
}

/** Decodes a record without checks: its CRC is right, so `encodeText` wrote it. */
function decodeText<T extends TextRecord>(payload: Buffer): Omit<T, 'kind'> {
  return JSON.parse(payload.toString('utf8', 1)) as Omit<T, 'kind'>;
}
