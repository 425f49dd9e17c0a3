import { isUtf8 } from 'node:buffer';
import { pictureSize } from '../../core/price/picture-size.ts';
import { stringBound } from '../../core/price/text.ts';
import { addMedia, addPicture, addStored, notText, type Tally } from './tally.ts';

/**
 * Bytes of encoded audio behind one token, with a wide margin: providers bill up to 32 tokens a second, MP3 has at
 * least 1,000 bytes a second and PCM at 8 kHz 8,000.
 */
const bytesPerAudioToken = 8;
const lowestSampleRate = 8000;

/** Counts inline media (base64 with a MIME type) at its own cost instead of as text. */
export function countInline(tally: Tally, mimeType: string, payload: string): void {
  const type = mimeType.toLowerCase();
  if (type.startsWith('image/')) countImagePayload(tally, payload);
  else if (type.startsWith('audio/')) countAudio(tally, payload);
  else if (type.startsWith('text/')) countTextFile(tally, payload);
  else {
    // Compressed documents and video: their size in bytes is no bound.
    notText(tally, payload);
    // The sound of a video is billed as audio.
    addStored(tally, ...(type.startsWith('video/') ? (['video', 'audio'] as const) : (['document'] as const)));
  }
}

/** Counts one image, given as base64. */
export function countImagePayload(tally: Tally, payload: string): void {
  notText(tally, payload);
  addPicture(tally, pictureSize(payload));
}

/** Counts one image by URL. A data URL is not text; the provider fetches any other URL. */
export function countImageUrl(tally: Tally, url: string): void {
  const isData = url.startsWith('data:');
  if (isData) notText(tally, url);
  addPicture(tally, isData ? pictureSize(payloadOf(url)) : null);
}

/** The base64 in a data URL; empty if it has none. */
function payloadOf(url: string): string {
  const start = url.slice(0, 256).indexOf(';base64,');
  return start < 0 ? '' : url.slice(start + ';base64,'.length);
}

/** Counts a file, given as a data URL or as plain base64 of unknown type. */
export function countFileData(tally: Tally, data: string): void {
  const match = /^data:([^;,]{1,128})(?:;[^,]{0,128})?;base64,/.exec(data);
  if (match === null) {
    notText(tally, data);
    addStored(tally, 'document', 'image', 'audio', 'video');
    return;
  }
  countInline(tally, match[1] ?? '', data.slice(match[0].length));
}

/** Counts inline audio, bounded by its bytes if its coding has a minimum rate, otherwise by the model's context. */
export function countAudio(tally: Tally, payload: string): void {
  notText(tally, payload);
  if (hasMinRate(payload)) addMedia(tally, 'audio', Math.ceil((payload.length * 3) / 4 / bytesPerAudioToken));
  else addStored(tally, 'audio');
}

/** A longer text is not decoded: no model's context holds it. */
const maxTextFileLength = 4 * 1024 * 1024;

function countTextFile(tally: Tally, payload: string): void {
  notText(tally, payload);
  if (payload.length > maxTextFileLength) {
    addStored(tally, 'document');
    return;
  }
  const bytes = Buffer.from(payload, 'base64');
  if (isUtf8(bytes)) tally.textTokens += stringBound(bytes.toString('utf8'));
  else addStored(tally, 'document');
}

/** True for MP3 and for PCM in a plain WAV header. Read from the bytes, because the caller's MIME type may be wrong. */
function hasMinRate(payload: string): boolean {
  const head = decodedAt(payload, 0, 48);
  if (head.toString('latin1', 0, 3) === 'ID3' && head.length >= 10) {
    // The tag's size is four groups of seven bits. Skip the tag, because another coding could follow it.
    const size = head.subarray(6, 10).reduce((sum, byte) => sum * 128 + (byte & 0x7f), 0);
    return isMp3Frame(decodedAt(payload, 10 + size, 4));
  }
  return isMp3Frame(head) || isPlainWav(head);
}

function decodedAt(payload: string, offset: number, length: number): Buffer {
  const group = Math.floor(offset / 3);
  const skip = offset - group * 3;
  return Buffer.from(payload.slice(group * 4, group * 4 + Math.ceil((skip + length) / 3) * 4), 'base64').subarray(skip, skip + length);
}

/** True for frame sync, layer III, and a bit rate from the table, which free-format frames lack. */
function isMp3Frame(bytes: Buffer): boolean {
  const [first = 0, second = 0, third = 0] = bytes;
  return first === 0xff && (second & 0xe0) === 0xe0 && (second & 0x06) === 0x02 && third >> 4 > 0 && third >> 4 < 15;
}

function isPlainWav(head: Buffer): boolean {
  if (head.length < 36 || head.toString('latin1', 0, 4) !== 'RIFF' || head.toString('latin1', 8, 16) !== 'WAVEfmt ') return false;
  const uncompressed = head.readUInt16LE(20) === 1 || head.readUInt16LE(20) === 3;
  return uncompressed && head.readUInt32LE(24) >= lowestSampleRate && head.readUInt16LE(32) >= 1;
}
