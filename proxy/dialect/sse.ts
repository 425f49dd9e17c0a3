import { Skeleton } from './skeleton.ts';

/** Whether an event is forwarded after it was read. */
export type Fate = 'keep' | 'drop';

/** Beyond this, an unfinished event is forwarded as it arrives. */
const maxHeldBytes = 256 * 1024;
/** Beyond this, only the skeleton of an event is read: its usage, without its pictures. */
const maxReadBytes = 16 * 1024 * 1024;

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const openingBrace = 0x7b;

/** Finds the ends of events. It receives bytes in order and keeps state between chunks. */
export interface EventEnds {
  /** The position after the next event's last byte; -1 if no event ends in the rest of the chunk. */
  next(chunk: Buffer, from: number): number;
}

/** Finds the ends of server-sent events: empty lines, which may end in LF, CR or CRLF (WHATWG HTML, 9.2.6). */
export class SseEnds implements EventEnds {
  #lineIsEmpty = true;
  /** The last byte was a CR: an LF after it belongs to the same line end. */
  #afterReturn = false;
  #sawBoth = false;
  /** An event ended with the CR that ended a chunk: an LF at the start of the next chunk belongs to it. */
  #awaitsFeed = false;

  next(chunk: Buffer, from: number): number {
    if (this.#awaitsFeed) return this.#takeFeed(chunk, from);
    const hasReturns = this.#afterReturn || chunk.indexOf(carriageReturn, from) >= 0;
    return hasReturns ? this.#nextOfAny(chunk, from) : this.#nextOfFeeds(chunk, from);
  }

  #takeFeed(chunk: Buffer, from: number): number {
    this.#awaitsFeed = false;
    this.#afterReturn = false;
    return chunk[from] === lineFeed ? from + 1 : from;
  }

  /** Searches from LF to LF. */
  #nextOfFeeds(chunk: Buffer, from: number): number {
    let at = from;
    while (at < chunk.length) {
      if (chunk[at] === lineFeed) {
        if (this.#lineIsEmpty) return at + 1;
        this.#lineIsEmpty = true;
        at += 1;
        continue;
      }
      this.#lineIsEmpty = false;
      at = chunk.indexOf(lineFeed, at);
      if (at < 0) return -1;
    }
    return -1;
  }

  /** Reads byte by byte. */
  #nextOfAny(chunk: Buffer, from: number): number {
    for (let at = from; at < chunk.length; at += 1) {
      if (this.#endsEvent(chunk[at] as number)) return this.#afterReturn ? this.#withFeed(chunk, at + 1) : at + 1;
    }
    return -1;
  }

  /** True if this byte ends an empty line. */
  #endsEvent(byte: number): boolean {
    if (byte === lineFeed && this.#afterReturn) {
      // The second half of a CRLF, whose first half ended the line.
      this.#afterReturn = false;
      this.#sawBoth = true;
      return false;
    }
    this.#afterReturn = byte === carriageReturn;
    const endsLine = byte === lineFeed || byte === carriageReturn;
    const ends = endsLine && this.#lineIsEmpty;
    this.#lineIsEmpty = endsLine;
    return ends;
  }

  /** A CR before `next` ended an event: an LF at `next` belongs to it. */
  #withFeed(chunk: Buffer, next: number): number {
    // The LF may be in the next chunk. A stream that has had no CRLF so far will have none.
    this.#awaitsFeed = this.#sawBoth && next === chunk.length;
    if (this.#awaitsFeed) return -1;
    if (chunk[next] !== lineFeed) return next;
    this.#afterReturn = false;
    return next + 1;
  }
}

/** The skeleton of the JSON in one event that is too long to hold. */
class Outline {
  readonly #skeleton = new Skeleton();
  #hasBegun = false;

  push(piece: Buffer): void {
    const start = this.#hasBegun ? 0 : piece.indexOf(openingBrace);
    if (start < 0) return;
    this.#hasBegun = true;
    this.#skeleton.push(piece.subarray(start));
  }

  /** JSON text without the fields of an event; null if there is none. */
  text(): Buffer | null {
    return this.#skeleton.isWhole ? this.#skeleton.text() : null;
  }
}

/** Cuts bytes into events and calls `onEvent` with each complete event, in order. It copies only events that span chunks. */
export class EventSplitter {
  readonly #ends: EventEnds;
  readonly #onEvent: (event: Buffer) => Fate;
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** Set while the unfinished event is too long to read: it has taken the held bytes. */
  #outline: Outline | null = null;
  /** True if the unfinished event was too long to hold: its held bytes are already forwarded. */
  #forwarded = false;
  #hasSkipped = false;

  constructor(ends: EventEnds, onEvent: (event: Buffer) => Fate) {
    this.#ends = ends;
    this.#onEvent = onEvent;
  }

  /** True if an event was too long to be read whole. */
  get hasSkipped(): boolean {
    return this.#hasSkipped;
  }

  /** The bytes to forward now: whole events, except for one that is too long to hold. An empty chunk changes nothing. */
  push(chunk: Buffer): readonly Buffer[] {
    if (chunk.length === 0) return [];
    const out: Buffer[] = [];
    const end = this.#ends.next(chunk, 0);
    if (end >= 0 && this.#heldBytes > 0) {
      out.push(...this.#finishHeld(chunk.subarray(0, end)));
      this.#pass(chunk, end, this.#ends.next(chunk, end), out);
    } else this.#pass(chunk, 0, end, out);
    return out;
  }

  /** At the end of the stream: the held bytes of an unfinished event. */
  flush(): readonly Buffer[] {
    return this.#heldBytes === 0 ? [] : this.#finishHeld(Buffer.alloc(0));
  }

  /** Forwards the events from `start`, the first of which ends at `firstEnd`, and holds what follows the last. */
  #pass(chunk: Buffer, start: number, firstEnd: number, out: Buffer[]): void {
    let from = start;
    let end = firstEnd;
    // Adjacent events that are kept are forwarded as one piece.
    let keptFrom = start;
    while (end >= 0) {
      if (this.#onEvent(chunk.subarray(from, end)) === 'drop') {
        if (from > keptFrom) out.push(chunk.subarray(keptFrom, from));
        keptFrom = end;
      }
      from = end;
      end = this.#ends.next(chunk, from);
    }
    if (from > keptFrom) out.push(chunk.subarray(keptFrom, from));
    this.#hold(chunk.subarray(from), out);
  }

  #hold(rest: Buffer, out: Buffer[]): void {
    if (rest.length === 0) return;
    this.#heldBytes += rest.length;
    if (this.#outline !== null) {
      this.#outline.push(rest);
      out.push(rest);
      return;
    }
    this.#held.push(rest);
    if (this.#forwarded) out.push(rest);
    else if (this.#heldBytes > maxHeldBytes) {
      this.#forwarded = true;
      out.push(...this.#held);
    }
    if (this.#heldBytes <= maxReadBytes) return;
    this.#outline = new Outline();
    for (const piece of this.#held) this.#outline.push(piece);
    this.#held = [];
  }

  #finishHeld(rest: Buffer): readonly Buffer[] {
    const outline = this.#outline;
    outline?.push(rest);
    this.#hasSkipped ||= outline !== null;
    const event = outline === null ? Buffer.concat([...this.#held, rest]) : outline.text();
    const alreadyOut = this.#forwarded;
    this.#held = [];
    this.#heldBytes = 0;
    this.#outline = null;
    this.#forwarded = false;
    const fate = event === null ? 'keep' : this.#onEvent(event);
    const left = alreadyOut || event === null ? rest : event;
    return left.length === 0 || (fate === 'drop' && !alreadyOut) ? [] : [left];
  }
}

const oneLine = /^data: ?([^\r\n]*)[\r\n]*$/;

/** The data of one event, its lines joined by LF; null if it has none. */
export function eventData(event: Buffer): string | null {
  const text = event.toString('utf8');
  const only = oneLine.exec(text);
  if (only !== null) return only[1] ?? null;
  const lines = text
    .replace(/^\ufeff/, '')
    .split(/\r\n|\n|\r/)
    .filter((line) => line.startsWith('data:'));
  return lines.length === 0 ? null : lines.map((line) => line.slice(line[5] === ' ' ? 6 : 5)).join('\n');
}

/**
 * Makes a cheap test whether an event (its bytes as Latin-1) has a member of this name whose value is not null. A string
 * cannot fake a member, because its quotes are escaped.
 */
export function memberFinder(name: string): (event: string) => boolean {
  // The search does not begin with a quote, because quotes are common in JSON.
  const needle = `${name}"`;
  return (event) => {
    for (let at = event.indexOf(needle); at >= 0; at = event.indexOf(needle, at + 1)) {
      if (event[at - 1] !== '"') continue;
      const colon = skipSpaces(event, at + needle.length);
      if (event[colon] === ':' && event[skipSpaces(event, colon + 1)] !== 'n') return true;
    }
    return false;
  };
}

function skipSpaces(text: string, from: number): number {
  let at = from;
  while (text[at] === ' ') at += 1;
  return at;
}
