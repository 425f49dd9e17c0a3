/** One entry of a layer; `path` without a leading slash, owned by root unless said. */
export interface TarEntry {
  readonly path: string;
  readonly mode: number;
  readonly body: { readonly kind: 'file'; readonly data: Buffer } | { readonly kind: 'folder' };
}

const blockBytes = 512;

/** A POSIX ustar archive: entries in the order of their paths, all owned by root at the epoch, so that the same files give the same bytes. */
export function tar(entries: readonly TarEntry[]): Buffer {
  const sorted = entries.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const blocks = sorted.flatMap((entry) => {
    const data = entry.body.kind === 'file' ? entry.body.data : Buffer.alloc(0);
    return [header(entry, data.length), data, Buffer.alloc((blockBytes - (data.length % blockBytes)) % blockBytes)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(2 * blockBytes)]);
}

function header({ path, mode, body }: TarEntry, size: number): Buffer {
  const name = body.kind === 'folder' ? `${path}/` : path;
  if (Buffer.byteLength(name) > 100) throw new Error(`${path} is longer than the 100 bytes that a ustar name can have`);
  const block = Buffer.alloc(blockBytes);
  block.write(name, 0);
  block.write(octal(mode, 8), 100);
  block.write(octal(0, 8), 108);
  block.write(octal(0, 8), 116);
  block.write(octal(size, 12), 124);
  block.write(octal(0, 12), 136);
  // The checksum is taken with its own field full of spaces.
  block.write('        ', 148);
  block.write(body.kind === 'folder' ? '5' : '0', 156);
  block.write('ustar\u000000', 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\u0000 `, 148);
  return block;
}

function octal(value: number, width: number): string {
  return `${value.toString(8).padStart(width - 1, '0')}\u0000`;
}
