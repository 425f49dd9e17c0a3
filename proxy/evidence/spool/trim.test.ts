import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import type { Chain } from '../../../core/audit/chain.ts';
import { keyName, type StreamId, streamId } from '../../../core/names.ts';
import type { RecoveredStream } from './epochs.ts';
import { folder, names, newChain, open, owed, reservation, stream, write } from './spool.fixture.ts';
import type { Spool } from './spool.ts';

const other: StreamId = streamId(keyName('agents', 'other'), 'i-1');
const group = { code: 'budget_exhausted', endpoint: 'other', from: '2026-11-20T10:00:00.000Z', to: '2026-11-20T10:00:00.000Z' } as const;

/** Writes entries of other streams, all acknowledged, until the next segments are full. */
function fill(spool: Spool): void {
  for (let i = 0; i < 20; i += 1) {
    const each = streamId(keyName('agents', `more-${i}`), 'i-1');
    write(spool, newChain(each));
    spool.acknowledge(each, 1, 0);
  }
}

/** A spool whose first segment is kept for a stream that the operator does not take; what ends in a later one is gone with it. */
async function withHole(t: TestContext, ends: (spool: Spool, chain: Chain) => void): Promise<string> {
  const dir = folder(t);
  const spool = open(dir, { segmentBytes: 2000 });
  write(spool, newChain(other)); // never acknowledged
  const chain = newChain();
  write(spool, chain);
  spool.writeOpen({ stream, epoch: 1, requestId: 'r-1', reservation: reservation(5) });
  spool.writeRefusals({ stream, epoch: 1, id: 'g-1', group: { ...group, count: 3 } });
  fill(spool);
  spool.writeRefusals({ stream, epoch: 1, id: 'g-1', group: { ...group, count: 5 } });
  spool.writeOutcome({ stream, epoch: 1, requestId: 'r-1', costNano: 2 });
  fill(spool);
  ends(spool, chain);
  fill(spool);
  await spool.close();
  return dir;
}

function segmentsIn(dir: string): readonly string[] {
  return readdirSync(dir).filter((name) => name.endsWith('.seg'));
}

function recoveredIn(spool: Spool): RecoveredStream | undefined {
  return spool.recovered.find((each) => each.stream === stream);
}

test('what ended in a segment that is gone stays ended, while an older segment is still needed', async (t) => {
  const dir = await withHole(t, (spool, chain) => {
    write(spool, chain, { endsCall: 'r-1' });
    write(spool, chain, { endsCall: 'g-1' });
    spool.acknowledge(stream, 1, 2);
  });
  assert.equal(segmentsIn(dir).length, 1);
  for (const start of ['first', 'second']) {
    const next = open(dir);
    assert.deepEqual(names(owed(next)), [`${other} 1 0`]);
    const found = recoveredIn(next);
    assert.deepEqual([found?.openCalls, found?.refusals, found?.lastSeq, found?.whole], [[], [], 2, true], start);
    await next.close();
  }
  const last = open(dir);
  last.acknowledge(other, 1, 0);
  await last.close();
  assert.deepEqual(segmentsIn(dir), [], 'nothing keeps the segment any more');
});

test('an epoch that was closed in a segment that is gone stays closed', async (t) => {
  const dir = await withHole(t, (spool, chain) => {
    write(spool, chain, { endsCall: 'r-1' });
    write(spool, chain, { endsCall: 'g-1' });
    write(spool, chain, { endsEpoch: true });
    spool.acknowledge(stream, 1, 3);
  });
  const next = open(dir);
  assert.equal(recoveredIn(next), undefined);
  await next.close();
});

test('an epoch that a later one recovered in a segment that is gone is not recovered again', async (t) => {
  const dir = await withHole(t, (spool) => {
    const second = newChain(stream, 2);
    write(spool, second);
    write(spool, second, { endsEpoch: true });
    spool.acknowledge(stream, 1, 0);
    spool.acknowledge(stream, 2, 1);
  });
  assert.equal(segmentsIn(dir).length, 1);
  const next = open(dir);
  assert.equal(recoveredIn(next), undefined);
  next.acknowledge(other, 1, 0);
  await next.close();
  assert.deepEqual(segmentsIn(dir), [], 'nothing keeps the segment any more');
});
