import type { StreamId } from '../names.ts';
import { commit, type Sealer } from './entry.ts';
import type { Entry } from './types.ts';

/** What can be wrong with evidence. */
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

/** One thing that is wrong, and where. `from` = `to` where it is about one entry. */
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

/** An entry whose MAC does not fit, with what is needed to say why. */
export interface Suspect {
  readonly entry: Entry;
  /** The chain key of its seq. */
  readonly key: Buffer;
  /** MAC of the entry before; null where it is not known. */
  readonly link: Buffer | null;
  /** `previousMac` of the entry after, or the recorded head's MAC: what this entry's MAC once was. */
  nextPrevious?: Buffer;
}

const messages = {
  edited: 'salt or body is not what its MAC was made over',
  wrong_mac: 'its MAC was replaced; salt and body are what was recorded',
  wrong_previous_mac: 'the MAC of the entry before, as stored in it, was replaced',
} as const;

/** Names what was done to entries whose MACs do not fit; at most a few dozen, all of one epoch. */
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
