import type { EpochRef } from '../names.ts';
import { commit, createSealer, deriveEpochKey, firstPreviousMac, ratchet, type Sealer } from './entry.ts';
import { explain, type Finding, type FindingKind, type Suspect } from './finding.ts';
import type { Entry } from './types.ts';

/** The newest entry of an epoch, as the store has recorded it. */
export interface EpochHead extends EpochRef {
  /** -1 if it has no entry. */
  readonly lastSeq: number;
  readonly lastMac: Buffer;
}

/** A wider gap is not walked, so that an invented seq does not cost hours. */
const maxGap = 1_000_000;
/** Bounds the memory for keys of missing entries, and for broken entries. */
const maxKept = 64;

/** Follows one epoch's chain through its entries, in the order in which they were stored. */
export class EpochVerifier {
  readonly #epoch: EpochRef;
  readonly #seal: Sealer;
  /** Chain key of `#next`. */
  #key: Buffer;
  #next = 0;
  /** What `previousMac` of `#next` must be; null if unknown, after a gap or a broken entry. */
  #link: Buffer | null = firstPreviousMac;
  /** Gaps as [first, last]. */
  #gaps: (readonly [number, number])[] = [];
  readonly #gapKeys = new Map<number, Buffer>();
  readonly #suspects: Suspect[] = [];
  /** Broken entries beyond `maxKept`. */
  #unexplained = 0;
  readonly #findings: Finding[] = [];

  /** `nonce` is hexadecimal. */
  constructor(root: Buffer, nonce: string, epoch: EpochRef) {
    this.#epoch = epoch;
    this.#seal = createSealer(epoch.stream, epoch.epoch);
    this.#key = deriveEpochKey(root, nonce, epoch.stream, epoch.epoch);
  }

  /** True if the entry is authentic and in its place. */
  add(entry: Entry): boolean {
    if (entry.seq < this.#next) {
      const key = this.#findInGap(entry.seq);
      if (key !== null) this.#judge(entry, key, null);
      return false;
    }
    if (entry.seq > this.#next && !this.#walkGap(entry.seq)) return false;
    const link = this.#link;
    const mac = this.#judge(entry, this.#key, link);
    this.#advance(entry, mac);
    return mac !== null && follows(entry, link);
  }

  /** Reports entries that are missing at the end, or that lie beyond the recorded head. */
  compareHead({ lastSeq, lastMac }: EpochHead): void {
    const seen = this.#next - 1;
    const last = this.#suspects.at(-1);
    if (last !== undefined && last.entry.seq === lastSeq) last.nextPrevious ??= lastMac;
    if (seen < lastSeq) {
      this.#report('truncated', `removed from the end: the recorded head is seq ${lastSeq}`, seen + 1, lastSeq);
    } else if (seen > lastSeq) {
      this.#report('beyond_head', `beyond the recorded head, seq ${lastSeq}`, lastSeq + 1, seen);
    } else if (this.#link !== null && seen >= 0 && !this.#link.equals(lastMac)) {
      this.#report('wrong_head', 'the MAC of the recorded head differs from that of the newest entry', seen);
    }
  }

  /** Everything wrong with the epoch so far. */
  findings(): readonly Finding[] {
    const missing = this.#gaps.map(([from, to]) => this.#finding('missing', 'removed', from, to));
    const found = [...this.#findings, ...missing, ...explain(this.#suspects, this.#seal)];
    if (this.#unexplained === 0) return found;
    const from = this.#suspects.at(-1)?.entry.seq ?? 0;
    return [...found, this.#finding('edited', `${this.#unexplained} more broken entries after it`, from)];
  }

  /** Records what is wrong with an entry. Returns a copy of its MAC; null if the entry is not authentic. */
  #judge(entry: Entry, key: Buffer, link: Buffer | null): Buffer | null {
    const mac = this.#seal(key, entry.seq, entry.previousMac, commit(Buffer.concat([entry.salt, entry.body])));
    const authentic = mac.equals(entry.mac);
    if (!authentic) this.#suspect({ entry, key, link });
    else if (!follows(entry, link)) this.#report('forked', 'does not continue from the MAC of the previous entry', entry.seq);
    return authentic ? mac : null;
  }

  /** The chain key of a late entry that fills a gap; null if the entry cannot be judged. */
  #findInGap(seq: number): Buffer | null {
    const gap = this.#gaps.find(([first, last]) => first <= seq && seq <= last);
    if (gap === undefined) {
      this.#report('duplicate', 'stored twice', seq);
      return null;
    }
    this.#report('out_of_order', `stored after seq ${this.#next - 1}`, seq);
    this.#gaps = this.#gaps.flatMap((each) => (each === gap ? splitGap(each, seq) : [each]));
    return this.#gapKeys.get(seq) ?? null;
  }

  /** False if the gap is too wide. */
  #walkGap(to: number): boolean {
    if (to - this.#next > maxGap) {
      this.#report('beyond_head', `far beyond the previous entry, seq ${this.#next - 1}`, to);
      return false;
    }
    this.#gaps.push([this.#next, to - 1]);
    for (; this.#next < to; this.#next += 1) {
      if (this.#gapKeys.size < maxKept) this.#gapKeys.set(this.#next, this.#key);
      this.#key = ratchet(this.#key);
    }
    this.#link = null;
    return true;
  }

  #advance(entry: Entry, link: Buffer | null): void {
    const previous = this.#suspects.at(-1);
    if (previous !== undefined && previous.entry.seq === entry.seq - 1) previous.nextPrevious = entry.previousMac;
    this.#key = ratchet(this.#key);
    this.#link = link;
    this.#next = entry.seq + 1;
  }

  #suspect(found: Suspect): void {
    if (this.#suspects.length < maxKept) this.#suspects.push(found);
    else this.#unexplained += 1;
  }

  #report(kind: FindingKind, message: string, from: number, to: number = from): void {
    this.#findings.push(this.#finding(kind, message, from, to));
  }

  #finding(kind: FindingKind, message: string, from: number, to: number = from): Finding {
    return { kind, ...this.#epoch, from, to, message };
  }
}

function follows(entry: Entry, link: Buffer | null): boolean {
  return link === null || link.equals(entry.previousMac);
}

function splitGap([first, last]: readonly [number, number], seq: number): (readonly [number, number])[] {
  const parts: (readonly [number, number])[] = [
    [first, seq - 1],
    [seq + 1, last],
  ];
  return parts.filter(([from, to]) => from <= to);
}
