/** What becomes of an event once it was looked at. */
export type Fate = 'keep' | 'drop';

/** Cuts passing bytes into whole events. */
export interface Splitter {
  /** The bytes to forward now: whole events, but for one that grew too long to hold. An empty chunk changes nothing. */
  push(chunk: Buffer): readonly Buffer[];
  /** At the end of the stream: what was held of an unfinished event. */
  flush(): readonly Buffer[];
}

/** Beyond this an unfinished event is forwarded as it comes. */
const mostHeldBytes = 256 * 1024;
/** Beyond this it is not even read: metering goes on with the next one. */
const mostReadBytes = 16 * 1024 * 1024;

const lineFeed = 0x0a;
const carriageReturn = 0x0d;

/** Where events end: called with bytes in order, gives the position after each one's last byte, or -1 where none ends in the rest. */
export type FindEnd = (chunk: Buffer, from: number) => number;

/** Ends of server-sent events: an empty line, whose ends may be LF, CR or CRLF (WHATWG HTML, 9.2.6). Keeps state between chunks. */
export function sseEnds(): FindEnd {
  let lineIsEmpty = true;
  let afterReturn = false;
  let sawBoth = false;
  let awaitsFeed = false;

  /** Hops from LF to LF. */
  const findFast: FindEnd = (chunk, from) => {
    let at = from;
    while (at < chunk.length) {
      if (chunk[at] === lineFeed) {
        if (lineIsEmpty) return at + 1;
        lineIsEmpty = true;
        at += 1;
        continue;
      }
      lineIsEmpty = false;
      at = chunk.indexOf(lineFeed, at);
      if (at < 0) return -1;
    }
    return -1;
  };

  /** True where this byte ends an empty line. */
  const endsEvent = (byte: number): boolean => {
    if (byte === lineFeed && afterReturn) {
      // The second half of a CRLF, whose first half ended the line.
      afterReturn = false;
      sawBoth = true;
      return false;
    }
    afterReturn = byte === carriageReturn;
    const endsLine = byte === lineFeed || byte === carriageReturn;
    const ends = endsLine && lineIsEmpty;
    lineIsEmpty = endsLine;
    return ends;
  };

  return (chunk, from) => {
    if (awaitsFeed) {
      awaitsFeed = false;
      afterReturn = false;
      return chunk[from] === lineFeed ? from + 1 : from;
    }
    if (!afterReturn && chunk.indexOf(carriageReturn, from) < 0) return findFast(chunk, from);
    for (let at = from; at < chunk.length; at += 1) {
      if (!endsEvent(chunk[at] as number)) continue;
      if (!afterReturn) return at + 1;
      // The last LF may be in the next chunk; where no CRLF was seen before, none will come.
      awaitsFeed = sawBoth && at + 1 === chunk.length;
      if (awaitsFeed) return -1;
      if (chunk[at + 1] !== lineFeed) return at + 1;
      afterReturn = false;
      return at + 2;
    }
    return -1;
  };
}

/** Cuts bytes into events and shows each to `onEvent` once it is whole, in order. Copies only what is split over chunks. */
export function splitEvents(findEnd: FindEnd, onEvent: (event: Buffer) => Fate): Splitter {
  let held: Buffer[] = [];
  let heldBytes = 0;
  // Set once the event grew too long to hold: what is held was forwarded already.
  let forwarded = false;

  const hold = (rest: Buffer, out: Buffer[]): void => {
    if (rest.length === 0) return;
    held.push(rest);
    heldBytes += rest.length;
    if (forwarded) out.push(rest);
    else if (heldBytes > mostHeldBytes) {
      forwarded = true;
      out.push(...held);
    }
    if (heldBytes > mostReadBytes) held = [];
  };

  const finishHeld = (rest: Buffer): readonly Buffer[] => {
    const readable = heldBytes <= mostReadBytes;
    const event = readable ? Buffer.concat([...held, rest]) : rest;
    const alreadyOut = forwarded;
    held = [];
    heldBytes = 0;
    forwarded = false;
    const fate = readable ? onEvent(event) : 'keep';
    const left = alreadyOut ? rest : event;
    return left.length === 0 || (fate === 'drop' && !alreadyOut) ? [] : [left];
  };

  return {
    push(chunk) {
      if (chunk.length === 0) return [];
      const out: Buffer[] = [];
      let from = 0;
      let end = findEnd(chunk, 0);
      if (end >= 0 && heldBytes > 0) {
        out.push(...finishHeld(chunk.subarray(0, end)));
        from = end;
        end = findEnd(chunk, from);
      }
      // Neighbouring events that are kept leave as one piece.
      let keptFrom = from;
      while (end >= 0) {
        if (onEvent(chunk.subarray(from, end)) === 'drop') {
          if (from > keptFrom) out.push(chunk.subarray(keptFrom, from));
          keptFrom = end;
        }
        from = end;
        end = findEnd(chunk, from);
      }
      if (from > keptFrom) out.push(chunk.subarray(keptFrom, from));
      hold(chunk.subarray(from), out);
      return out;
    },
    flush() {
      if (heldBytes === 0) return [];
      return finishHeld(Buffer.alloc(0));
    },
  };
}

const oneLine = /^data: ?([^\r\n]*)[\r\n]*$/;

/** The data of one event, its lines joined by LF; null where it has none. */
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
 * Makes a cheap look for a member of this name whose value is not null, in an event's bytes as Latin-1. Strings cannot
 * fake it: their quotes are escaped.
 */
export function memberFinder(name: string): (event: string) => boolean {
  // Quotes are common in JSON, so the search does not begin with one.
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
