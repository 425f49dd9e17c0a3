import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Whether the writable memory of a process holds the text, as root of the node would find it. */
export function memoryHolds(pid: number, text: string): boolean {
  const regions = readFileSync(`/proc/${pid}/maps`, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const found = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line);
      return found === null ? [] : [{ from: Number.parseInt(found[1] ?? '', 16), to: Number.parseInt(found[2] ?? '', 16) }];
    });
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  try {
    return regions.some(({ from, to }) => regionHolds(memory, from, to, Buffer.from(text)));
  } finally {
    closeSync(memory);
  }
}

const pieceBytes = 4 * 1_048_576;

function regionHolds(memory: number, from: number, to: number, wanted: Buffer): boolean {
  const piece = Buffer.alloc(pieceBytes);
  // Pieces overlap by the length of what is sought.
  for (let at = from; at < to; at += pieceBytes - wanted.length) {
    try {
      const read = readSync(memory, piece, 0, Math.min(pieceBytes, to - at), at);
      if (piece.subarray(0, read).includes(wanted)) return true;
    } catch {
      // Reserved, and nothing there to read.
      return false;
    }
  }
  return false;
}

/** Everything in the volumes that a container mounts, by path in the container. */
export function mountedFiles(pid: number): ReadonlyMap<string, Buffer> {
  const points = readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point !== '' && point !== '/' && !/^\/(proc|sys|dev)(\/|$)/.test(point));
  const files = new Map<string, Buffer>();
  for (const point of points) collect(`/proc/${pid}/root`, point, files);
  return files;
}

/** Everything in a folder of this machine, by path. */
export function filesIn(folder: string): ReadonlyMap<string, Buffer> {
  const files = new Map<string, Buffer>();
  collect('', folder, files);
  return files;
}

function collect(root: string, path: string, files: Map<string, Buffer>): void {
  const full = `${root}${path}`;
  try {
    const found = statSync(full, { throwIfNoEntry: false });
    if (found?.isDirectory()) for (const name of readdirSync(full)) collect(root, join(path, name), files);
    else if (found?.isFile()) files.set(path, readFileSync(full));
  } catch (error) {
    // Removed while it was looked at: those who write there are running.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
