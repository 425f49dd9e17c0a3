import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { type Chain, createChain } from '../../../core/audit/chain.ts';
import type { Entry, HeartbeatBody } from '../../../core/audit/types.ts';
import type { Reservation } from '../../../core/budget/types.ts';
import { type KeyName, keyName, type StreamId, streamId } from '../../../core/names.ts';
import type { SpooledAttempt } from './epochs.ts';
import { openSpool, type Spool, type SpoolOptions } from './spool.ts';

export const silent: pino.Logger = pino({ level: 'silent' });
export const bot: KeyName = keyName('agents', 'bot');
export const stream: StreamId = streamId(keyName('agents', 'bot'), 'i-1');

/** Makes a folder and removes it after the test. */
export function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'keyforge-spool-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export function open(dir: string, more: Partial<SpoolOptions> = {}): Spool {
  return openSpool({ dir, bootId: 'boot-1', logger: silent, ...more });
}

export function newChain(of: StreamId = stream, epoch = 1): Chain {
  return createChain({ stream: of, epoch, key: randomBytes(32) });
}

/** Chains and spools one heartbeat; `more` says what it ends. */
export function write(spool: Spool, chain: Chain, more: { readonly endsCall?: string; readonly endsEpoch?: boolean } = {}): Entry {
  const body: HeartbeatBody = { key: bot, time: '2026-11-20T10:00:00.000Z', type: 'heartbeat', v: 1 };
  return chain.append(body, randomBytes, (entry) => spool.writeEntry({ entry, endsCall: '', endsEpoch: false, ...more }));
}

export function reservation(nano: number, grant = 'g-1'): Reservation {
  return { parts: [{ grant, nano }], counted: { grant, requests: 1, tokens: 7 }, amountNano: nano };
}

/** An attempt of `reservation(nano)`, and what it cost if that is known. */
export function attempt(nano: number, costNano: number | null = null): SpooledAttempt {
  return { reservation: reservation(nano), costNano };
}

/** All entries that are not acknowledged. */
export function owed(spool: Spool): readonly Entry[] {
  return spool.read(spool.start(), { entries: 1e6, bytes: 1e9 }).entries;
}

/** `stream epoch seq`, short enough to compare lists. */
export function names(entries: readonly Entry[]): string[] {
  return entries.map(({ stream: of, epoch, seq }) => `${of} ${epoch} ${seq}`);
}
