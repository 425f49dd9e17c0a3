import { type EpochId, type EpochRef, epochId } from '../names.ts';
import type { Finding } from './finding.ts';
import type { Entry } from './types.ts';
import { type EpochHead, EpochVerifier } from './verify-epoch.ts';

/** An epoch's nonce (hexadecimal), or null if no such epoch was opened. */
type NonceOf = (epoch: EpochRef) => string | null;

/** Checks entries of any streams, one by one, in the order in which they were stored. */
export class Verifier {
  readonly #root: Buffer;
  readonly #nonceOf: NonceOf;
  readonly #epochs = new Map<EpochId, EpochVerifier | null>();
  readonly #strays: Finding[] = [];
  #verified = 0;

  /** Verifies with the root key. */
  constructor(root: Buffer, nonceOf: NonceOf) {
    this.#root = root;
    this.#nonceOf = nonceOf;
  }

  /** True if the entry is authentic and in its place; otherwise `findings` says what is wrong. */
  add(entry: Entry): boolean {
    const { stream, epoch, seq } = entry;
    const verifier = this.#epochOf(entry);
    if (verifier === null) {
      const message = 'belongs to an epoch that was never opened';
      this.#strays.push({ kind: 'unknown_epoch', stream, epoch, from: seq, to: seq, message });
      return false;
    }
    const inPlace = verifier.add(entry);
    if (inPlace) this.#verified += 1;
    return inPlace;
  }

  /** Call this once for each epoch, after its entries. Spooled entries may still follow. */
  compareHead(head: EpochHead): void {
    this.#epochOf(head)?.compareHead(head);
  }

  findings(): readonly Finding[] {
    return [...this.#strays, ...[...this.#epochs.values()].flatMap((epoch) => epoch?.findings() ?? [])];
  }

  /** Entries that were authentic and in their place. */
  verified(): number {
    return this.#verified;
  }

  #epochOf({ stream, epoch }: EpochRef): EpochVerifier | null {
    const id = epochId({ stream, epoch });
    const known = this.#epochs.get(id);
    if (known !== undefined) return known;
    const nonce = this.#nonceOf({ stream, epoch });
    const opened = nonce === null ? null : new EpochVerifier(this.#root, nonce, { stream, epoch });
    this.#epochs.set(id, opened);
    return opened;
  }
}
