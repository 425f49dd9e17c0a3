import type { PictureSize } from './demand.ts';

/** Characters at the start of a picture that are read: 3 KiB has most sizes, and in 192 KiB a preview and a colour profile fit. */
const prefixLengths = [2 ** 12, 2 ** 18] as const;

/**
 * Pixels of a PNG, JPEG, GIF or WebP, given as base64, from its headers. Null where they are unknown or could be read in two
 * ways; otherwise no decoder shows a larger picture. Never throws.
 */
export function pictureSize(base64: string): PictureSize {
  for (const length of prefixLengths) {
    const size = sizeIn(base64.slice(0, length));
    if (size !== null || base64.length <= length) return size;
  }
  return null;
}

function sizeIn(prefix: string): PictureSize {
  const bytes = Buffer.from(prefix, 'base64');
  if (!isBase64(prefix, bytes)) return null;
  const size = sizeOf(new Reader(bytes));
  return size !== null && size.width > 0 && size.height > 0 ? size : null;
}

/** False if a text has other characters, which decoders skip or end at. To write it again is faster than to match it. */
function isBase64(text: string, decoded: Buffer): boolean {
  const lastGroup = Math.floor((text.length - 1) / 4) * 4;
  // The last group may lack its padding, and has bits that nobody reads.
  return /^[A-Za-z0-9+/]+={0,2}$/.test(text.slice(lastGroup)) && decoded.toString('base64').startsWith(text.slice(0, lastGroup));
}

function sizeOf(bytes: Reader): PictureSize {
  if (bytes.text(0, 8) === '\x89PNG\r\n\x1a\n') return pngSize(bytes);
  if (bytes.text(0, 2) === '\xff\xd8') return jpegSize(bytes);
  if (bytes.text(0, 6) === 'GIF87a' || bytes.text(0, 6) === 'GIF89a') return gifSize(bytes);
  return bytes.text(0, 4) === 'RIFF' && bytes.text(8, 4) === 'WEBP' ? webpSize(bytes) : null;
}

/** Reads numbers that may lie beyond the prefix: those are NaN, which no size survives. */
class Reader {
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get length(): number {
    return this.#bytes.length;
  }

  text(at: number, length: number): string {
    return this.#bytes.toString('latin1', at, at + length);
  }

  byte(at: number): number {
    return this.#bytes[at] ?? Number.NaN;
  }

  bigEndian(at: number, length: number): number {
    return at + length > this.length ? Number.NaN : this.#bytes.readUIntBE(at, length);
  }

  littleEndian(at: number, length: number): number {
    return at + length > this.length ? Number.NaN : this.#bytes.readUIntLE(at, length);
  }
}

/** The largest extent of several headers; null if there is none. */
function largest(sizes: readonly { readonly width: number; readonly height: number }[]): PictureSize {
  if (sizes.length === 0) return null;
  return { width: Math.max(...sizes.map(({ width }) => width)), height: Math.max(...sizes.map(({ height }) => height)) };
}

/** PNG: the first chunk is IHDR (w3.org/TR/png, 11.2.1). */
function pngSize(bytes: Reader): PictureSize {
  if (bytes.text(12, 4) !== 'IHDR') return null;
  return { width: bytes.bigEndian(16, 4), height: bytes.bigEndian(20, 4) };
}

/** Start-of-frame markers: C0 to CF without tables, arithmetic conditioning and the reserved one (ITU-T T.81, table B.1). */
function startsFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
}

/** JPEG: the largest frame header before the first scan. A height of 0 stands behind the scan. */
function jpegSize(bytes: Reader): PictureSize {
  const frames: { readonly width: number; readonly height: number }[] = [];
  for (let at = 2; at < bytes.length; ) {
    if (bytes.byte(at) !== 0xff) return null;
    while (bytes.byte(at) === 0xff) at += 1;
    const marker = bytes.byte(at);
    if (marker === 0xda) return frames.some(({ height }) => height === 0) ? null : largest(frames);
    // Tables, frames, applications and comments have a length; anything else is odd here.
    const isSegment = startsFrame(marker) || marker === 0xc4 || marker === 0xcc || (marker >= 0xdb && marker !== 0xde && marker <= 0xfe);
    const length = bytes.bigEndian(at + 1, 2);
    if (!isSegment || !(length >= 2)) return null;
    if (startsFrame(marker)) frames.push({ height: bytes.bigEndian(at + 4, 2), width: bytes.bigEndian(at + 6, 2) });
    at += 1 + length;
  }
  return null;
}

/** GIF: the larger of the screen and every frame on it (GIF89a, sections 18 and 20). */
function gifSize(bytes: Reader): PictureSize {
  const table = (flags: number): number => (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0);
  const sizes = [{ width: bytes.littleEndian(6, 2), height: bytes.littleEndian(8, 2) }];
  let at = 13 + table(bytes.byte(10));
  while (at < bytes.length) {
    const block = bytes.byte(at);
    if (block === 0x3b) return largest(sizes);
    if (block === 0x21) at += 2;
    else if (block === 0x2c) {
      const [left, top, width, height] = [1, 3, 5, 7].map((offset) => bytes.littleEndian(at + offset, 2)) as [
        number,
        number,
        number,
        number,
      ];
      sizes.push({ width: left + width, height: top + height });
      at += 11 + table(bytes.byte(at + 9));
    } else return null;
    while (bytes.byte(at) > 0) at += 1 + bytes.byte(at);
    at += 1;
  }
  return null;
}

/** WebP: the largest of the canvas and the picture in it (developers.google.com/speed/webp/docs/riff_container). */
function webpSize(bytes: Reader): PictureSize {
  const sizes: { readonly width: number; readonly height: number }[] = [];
  for (let at = 12; at < bytes.length; ) {
    const data = at + 8;
    switch (bytes.text(at, 4)) {
      case 'VP8 ':
        if (bytes.text(data + 3, 3) !== '\x9d\x01\x2a') return null;
        return largest([...sizes, { width: bytes.littleEndian(data + 6, 2) % 0x4000, height: bytes.littleEndian(data + 8, 2) % 0x4000 }]);
      case 'VP8L': {
        if (bytes.byte(data) !== 0x2f) return null;
        const bits = bytes.littleEndian(data + 1, 4);
        return largest([...sizes, { width: (bits % 0x4000) + 1, height: (Math.floor(bits / 0x4000) % 0x4000) + 1 }]);
      }
      case 'VP8X':
        sizes.push({ width: bytes.littleEndian(data + 4, 3) + 1, height: bytes.littleEndian(data + 7, 3) + 1 });
        break;
      case 'ANIM':
        // Frames lie on the canvas, or the file is invalid.
        return largest(sizes);
      case 'ICCP':
      case 'ALPH':
      case 'EXIF':
      case 'XMP ':
        break;
      default:
        return null;
    }
    const length = bytes.littleEndian(at + 4, 4);
    if (Number.isNaN(length)) return null;
    at = data + length + (length % 2);
  }
  return null;
}
