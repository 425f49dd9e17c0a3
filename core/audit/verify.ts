import { type EpochId, epochId, epochRef, type StreamId } from '../names.ts';
import { commit, createSealer, deriveEpochKey, firstPreviousMac, ratchet, type Sealer } from './entry.ts';
import { explain, type Finding, type FindingKind, type Suspect } from './finding.ts';
import type { Entry } from './types.ts';

/** What the store says of an epoch: its newest entry. */
export interface EpochHead {
  readonly stream: StreamId;
  readonly epoch: number;
  /** -1 where it has no entry. */
  readonly lastSeq: number;
  readonly lastMac: Buffer;
}

/** Checks entries of any streams, fed one by one in the order in which they were stored. */
export interface Verifier {
  /** True where the entry is authentic and in its place; else `findings` says what is wrong. */
  add(entry: Entry): boolean;
  /** To be called once for each epoch, after its entries: nothing may be missing at the end. Spooled entries may still follow. */
  compareHead(head: EpochHead): void;
  findings(): readonly Finding[];
  /** Entries that were authentic and in their place. */
  verified(): number;
}

/** A gap wider than this is not walked: a made-up seq must not cost hours. */
const widestGap = 1_000_000;
/** Memory for what an entry that comes late, or a broken one, is judged by. */
const mostKept = 64;

interface Track {
  readonly seal: Sealer;
  /** Chain key of `next`. */
  key: Buffer;
  next: number;
  /** What `previousMac` of `next` must be; null: not known, after a gap or a broken entry. */
  link: Buffer | null;
  /** Gaps as [first, last]. */
  gaps: (readonly [number, number])[];
  readonly gapKeys: Map<number, Buffer>;
  readonly suspects: Suspect[];
  /** Broken entries beyond `mostKept`. */
  unexplained: number;
}

/** Verifies with the root key; `nonceOf` gives an epoch's nonce (hexadecimal), or null where no such epoch was opened. */
export function createVerifier(root: Buffer, nonceOf: (stream: StreamId, epoch: number) => string | null): Verifier {
  const tracks = new Map<EpochId, Track | null>();
  const findings: Finding[] = [];
  let verified = 0;

  function trackOf(stream: StreamId, epoch: number): Track | null {
    const id = epochId({ stream, epoch });
    const known = tracks.get(id);
    if (known !== undefined) return known;
    const nonce = nonceOf(stream, epoch);
    const track = nonce === null ? null : openTrack(deriveEpochKey(root, nonce, stream, epoch), createSealer(stream, epoch));
    tracks.set(id, track);
    return track;
  }

  function note(kind: FindingKind, at: { stream: StreamId; epoch: number; from: number; to?: number }, message: string): false {
    findings.push({ kind, stream: at.stream, epoch: at.epoch, from: at.from, to: at.to ?? at.from, message });
    return false;
  }

  /** Handles what is not the next seq; gives the chain key to judge the entry by, or null where it is not judged. */
  function outOfPlace(track: Track, entry: Entry): Buffer | null {
    const at = { stream: entry.stream, epoch: entry.epoch, from: entry.seq };
    if (entry.seq > track.next) {
      if (entry.seq - track.next > widestGap) {
        note('beyond_head', at, `far beyond seq ${track.next - 1}, the entry before it`);
        return null;
      }
      walkGap(track, entry.seq);
      return track.key;
    }
    const gap = track.gaps.find(([first, last]) => first <= entry.seq && entry.seq <= last);
    if (gap === undefined) {
      note('duplicate', at, 'stored twice');
      return null;
    }
    note('out_of_order', at, `stored after seq ${track.next - 1}`);
    track.gaps = track.gaps.flatMap((each) => (each === gap ? splitGap(each, entry.seq) : [each]));
    return track.gapKeys.get(entry.seq) ?? null;
  }

  function add(entry: Entry): boolean {
    const { stream, epoch, seq } = entry;
    const track = trackOf(stream, epoch);
    if (track === null) return note('unknown_epoch', { stream, epoch, from: seq }, 'belongs to an epoch that was never opened');
    const late = seq < track.next;
    const key = seq === track.next ? track.key : outOfPlace(track, entry);
    return key !== null && judge(track, entry, key, late ? 'late' : 'in_turn');
  }

  function judge(track: Track, entry: Entry, key: Buffer, turn: 'late' | 'in_turn'): boolean {
    const { stream, epoch, seq } = entry;
    const link = turn === 'late' ? null : track.link;
    const mac = track.seal(key, seq, entry.previousMac, commit(Buffer.concat([entry.salt, entry.body])));
    const authentic = mac.equals(entry.mac);
    const linked = link === null || link.equals(entry.previousMac);
    if (!authentic) suspect(track, { entry, key, link });
    else if (!linked) note('forked', { stream, epoch, from: seq }, 'continues from a MAC that is not of the entry before it');
    if (turn === 'in_turn') advance(track, entry, authentic ? mac : null);
    const inPlace = authentic && linked && turn === 'in_turn';
    if (inPlace) verified += 1;
    return inPlace;
  }

  function compareHead(head: EpochHead): void {
    const track = trackOf(head.stream, head.epoch);
    if (track === null) return;
    const seen = track.next - 1;
    const place = { stream: head.stream, epoch: head.epoch };
    const last = track.suspects.at(-1);
    if (last !== undefined && last.entry.seq === head.lastSeq) last.nextPrevious ??= head.lastMac;
    if (seen < head.lastSeq) {
      note('truncated', { ...place, from: seen + 1, to: head.lastSeq }, `removed from the end: the recorded head is seq ${head.lastSeq}`);
    } else if (seen > head.lastSeq) {
      note('beyond_head', { ...place, from: head.lastSeq + 1, to: seen }, `beyond the recorded head, seq ${head.lastSeq}`);
    } else if (track.link !== null && seen >= 0 && !track.link.equals(head.lastMac)) {
      note('wrong_head', { ...place, from: seen }, 'the recorded head has another MAC than the newest entry');
    }
  }

  function collect(): Finding[] {
    const all = [...findings];
    for (const [id, track] of tracks) {
      if (track === null) continue;
      const { stream, epoch } = epochRef(id);
      for (const [from, to] of track.gaps) all.push({ kind: 'missing', stream, epoch, from, to, message: 'removed' });
      all.push(...explain(track.suspects, track.seal));
      const from = track.suspects.at(-1)?.entry.seq ?? 0;
      const message = `${track.unexplained} more broken entries after it`;
      if (track.unexplained > 0) all.push({ kind: 'edited', stream, epoch, from, to: from, message });
    }
    return all;
  }

  return { add, compareHead, findings: collect, verified: () => verified };
}

function openTrack(key: Buffer, seal: Sealer): Track {
  return { seal, key, next: 0, link: firstPreviousMac, gaps: [], gapKeys: new Map(), suspects: [], unexplained: 0 };
}

function walkGap(track: Track, to: number): void {
  track.gaps.push([track.next, to - 1]);
  for (; track.next < to; track.next += 1) {
    if (track.gapKeys.size < mostKept) track.gapKeys.set(track.next, track.key);
    track.key = ratchet(track.key);
  }
  track.link = null;
}

function advance(track: Track, entry: Entry, link: Buffer | null): void {
  const before = track.suspects.at(-1);
  if (before !== undefined && before.entry.seq === entry.seq - 1) before.nextPrevious = entry.previousMac;
  track.key = ratchet(track.key);
  track.link = link;
  track.next = entry.seq + 1;
}

function suspect(track: Track, found: Suspect): void {
  if (track.suspects.length < mostKept) track.suspects.push(found);
  else track.unexplained += 1;
}

function splitGap([first, last]: readonly [number, number], seq: number): (readonly [number, number])[] {
  const parts: (readonly [number, number])[] = [
    [first, seq - 1],
    [seq + 1, last],
  ];
  return parts.filter(([from, to]) => from <= to);
}
