import type { StreamId } from '../names.ts';
import { canonicalize } from './canonical.ts';
import { commit, createSealer, firstPreviousMac, ratchet, saltBytes } from './entry.ts';
import type { Entry, EntryBody } from './types.ts';

/** Where a chain starts or continues. `head` and `lastMac` are those of its last entry; `key` is already ratcheted past that entry. */
interface ChainStart {
  readonly stream: StreamId;
  readonly epoch: number;
  /** The chain takes ownership of this buffer and wipes it. */
  readonly key: Buffer;
  /** Default: -1, an epoch without entries. */
  readonly head?: number;
  readonly lastMac?: Buffer;
}

/** The writing end of one epoch. */
export interface Chain {
  /**
   * Makes the next entry and gives it to `store` before the chain moves. If `store` throws, the chain is unchanged,
   * and the next call fills the same place.
   */
  append(body: EntryBody, random: (size: number) => Uint8Array, store?: (entry: Entry) => void): Entry;
  /** Seq of the last entry; -1 if there is none. */
  head(): number;
  lastMac(): Buffer;
  /** The ratchet key past the last entry, for sealing; never logged. */
  key(): Buffer;
  /** Forgets the key. Nothing can be appended afterwards. */
  wipe(): void;
}

/** Makes a chain whose past cannot be forged from memory: it overwrites each key after use. (The garbage collector may still hold a copy.) */
export function createChain(start: ChainStart): Chain {
  const { stream, epoch } = start;
  const seal = createSealer(stream, epoch);
  let key = start.key;
  let head = start.head ?? -1;
  let lastMac = start.lastMac ?? firstPreviousMac;

  return {
    append(body, random, store) {
      const text = canonicalize(body);
      const salted = Buffer.allocUnsafe(saltBytes + Buffer.byteLength(text));
      salted.set(random(saltBytes));
      salted.write(text, saltBytes);
      const seq = head + 1;
      const mac = seal(key, seq, lastMac, commit(salted));
      const entry: Entry = {
        stream,
        epoch,
        seq,
        previousMac: lastMac,
        mac,
        salt: salted.subarray(0, saltBytes),
        body: salted.subarray(saltBytes),
      };
      store?.(entry);
      const used = key;
      key = ratchet(used);
      used.fill(0);
      head = seq;
      lastMac = mac;
      return entry;
    },
    head: () => head,
    lastMac: () => lastMac,
    key: () => key,
    wipe() {
      key.fill(0);
    },
  };
}
