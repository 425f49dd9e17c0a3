import type { StreamId } from '../names.ts';
import { commit, type Sealer } from './entry.ts';
import type { Entry } from './types.ts';

/** The ways in which evidence can be wrong. */
export type FindingKind =
  | 'edited'
  | 'wrong_mac'
  | 'wrong_previous_mac'
  | 'forked'
  | 'swapped'
  | 'missing'
  | 'out_of_order'
  | 'duplicate'
  | 'truncated'
  | 'beyond_head'
  | 'wrong_head'
  | 'unknown_epoch';

/** One problem and its place. `from` equals `to` if it concerns one entry. */
export interface Finding {
  readonly kind: FindingKind;
  readonly stream: StreamId;
  readonly epoch: number;
  readonly from: number;
  readonly to: number;
  readonly message: string;
}

/** `agents/bot@i-1 epoch 2 seq 4 to 6: removed`. */
export function formatFinding(finding: Finding): string {
  const seqs = finding.from === finding.to ? `seq ${finding.from}` : `seq ${finding.from} to ${finding.to}`;
  return `${finding.stream} epoch ${finding.epoch} ${seqs}: ${finding.message}`;
}

/** An entry with a wrong MAC, and what `explain` needs to find the reason. */
export interface Suspect {
  readonly entry: Entry;
  /** The chain key of its seq. */
  readonly key: Buffer;
  /** MAC of the previous entry; null if unknown. */
  readonly link: Buffer | null;
  /** `previousMac` of the next entry, or the recorded head's MAC: this entry's original MAC. */
  nextPrevious?: Buffer;
}

const messages = {
  edited: 'its salt or body was changed after its MAC was made',
  wrong_mac: 'its MAC was replaced; its salt and body are as recorded',
  wrong_previous_mac: 'its copy of the previous entry’s MAC was replaced',
} as const;

/** Finds what was done to entries with wrong MACs: at most a few dozen, all of one epoch. */
export function explain(suspects: readonly Suspect[], seal: Sealer): Finding[] {
  const findings: Finding[] = [];
  const explained = new Set<Suspect>();
  for (const suspect of suspects) {
    if (explained.has(suspect)) continue;
    const twin = suspects.find((other) => other !== suspect && fitsAt(suspect.entry, other, seal) && fitsAt(other.entry, suspect, seal));
    if (twin === undefined) {
      findings.push(single(suspect, seal));
      continue;
    }
    explained.add(twin);
    const { stream, epoch } = suspect.entry;
    const [from, to] = [suspect.entry.seq, twin.entry.seq].sort((a, b) => a - b) as [number, number];
    findings.push({ kind: 'swapped', stream, epoch, from, to, message: `seq ${from} and seq ${to} have changed places` });
  }
  return findings;
}

function single({ entry, key, link, nextPrevious }: Suspect, seal: Sealer): Finding {
  const commitment = commit(Buffer.concat([entry.salt, entry.body]));
  const rightful = [link ?? entry.previousMac, entry.previousMac].map((previous) => seal(key, entry.seq, previous, commitment));
  let kind: keyof typeof messages = 'edited';
  if (rightful.some((mac) => mac.equals(entry.mac))) kind = 'wrong_previous_mac';
  else if (nextPrevious !== undefined && rightful.some((mac) => mac.equals(nextPrevious))) kind = 'wrong_mac';
  return { kind, stream: entry.stream, epoch: entry.epoch, from: entry.seq, to: entry.seq, message: messages[kind] };
}

function fitsAt(entry: Entry, place: Suspect, seal: Sealer): boolean {
  const commitment = commit(Buffer.concat([entry.salt, entry.body]));
  return seal(place.key, place.entry.seq, entry.previousMac, commitment).equals(entry.mac);
}
