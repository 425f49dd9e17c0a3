import type { WireEntry } from '../control.ts';
import { macBytes, saltBytes } from './entry.ts';
import type { Entry } from './types.ts';

/** An entry as it travels. */
export function toWire(entry: Entry): WireEntry {
  return {
    stream: entry.stream,
    epoch: entry.epoch,
    seq: entry.seq,
    previousMac: entry.previousMac.toString('hex'),
    mac: entry.mac.toString('hex'),
    salt: entry.salt.toString('hex'),
    body: entry.body.toString(),
  };
}

/** An entry as it arrived; null where it is not one. Says nothing of its MAC. */
export function fromWire(wire: WireEntry): Entry | null {
  const previousMac = parseHex(wire.previousMac, macBytes);
  const mac = parseHex(wire.mac, macBytes);
  const salt = parseHex(wire.salt, saltBytes);
  const numbered = isNumber(wire.epoch) && wire.epoch > 0 && isNumber(wire.seq);
  if (previousMac === null || mac === null || salt === null || !numbered) return null;
  if (typeof wire.stream !== 'string' || typeof wire.body !== 'string') return null;
  return { stream: wire.stream, epoch: wire.epoch, seq: wire.seq, previousMac, mac, salt, body: Buffer.from(wire.body) };
}

function parseHex(text: unknown, bytes: number): Buffer | null {
  if (typeof text !== 'string' || text.length !== bytes * 2) return null;
  const parsed = Buffer.from(text, 'hex');
  return parsed.length === bytes ? parsed : null;
}

function isNumber(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 48;
}
