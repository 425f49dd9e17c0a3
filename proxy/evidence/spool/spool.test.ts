import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { keyName, streamId } from '../../../core/names.ts';
import { readSpooledEntries } from './recovery.ts';
import { attempt, folder, names, newChain, open, owed, reservation, stream, write } from './spool.fixture.ts';
import { SpoolUnavailable } from './spool.ts';

const other = streamId(keyName('agents', 'bat'), 'i-1');

function segmentsIn(dir: string): string[] {
  return readdirSync(dir)
    .filter((name) => name.endsWith('.seg'))
    .sort();
}

function onlySegment(dir: string): string {
  const [name, more] = segmentsIn(dir);
  assert.ok(name !== undefined && more === undefined);
  return join(dir, name);
}

/** As a killed process leaves it: the files, and no lock. */
function crashed(t: Parameters<typeof folder>[0], dir: string): string {
  const copy = join(folder(t), 'spool');
  cpSync(dir, copy, { recursive: true });
  return copy;
}

test('entries of all streams are read in the order in which they were written, also by the next process', async (t) => {
  const dir = folder(t);
  const spool = open(dir);
  const [one, two] = [newChain(), newChain(other)];
  const written = [write(spool, one), write(spool, two), write(spool, one)];
  assert.deepEqual(owed(spool), written);
  const next = open(crashed(t, dir));
  assert.deepEqual(owed(next), written);
  assert.deepEqual([...readSpooledEntries(dir)], written);
  await next.close();
  await spool.close();
});

test('a batch ends at its limits and the next one continues after it', async (t) => {
  const spool = open(folder(t));
  const chain = newChain();
  const written = Array.from({ length: 5 }, () => write(spool, chain));
  const bodyBytes = written[0]?.body.length ?? 0;
  const first = spool.read(spool.start(), { entries: 2, bytes: 1e9 });
  const second = spool.read(first.next, { entries: 100, bytes: 2 * bodyBytes });
  const third = spool.read(second.next, { entries: 100, bytes: 1 });
  assert.deepEqual([...first.entries, ...second.entries, ...third.entries], written);
  assert.deepEqual(
    [first, second, third].map(({ entries }) => entries.length),
    [2, 2, 1],
  );
  assert.deepEqual(spool.read(third.next, { entries: 100, bytes: 1e9 }).entries, []);
  await spool.close();
});

test('a reader far behind memory gets the same entries from the disk', async (t) => {
  const spool = open(folder(t), { segmentBytes: 20_000 });
  const chain = newChain();
  const start = spool.start();
  const count = 1500;
  for (let i = 0; i < count; i += 1) write(spool, chain);
  const filler = newChain(other);
  const body = { key: 'agents/bat', time: '', type: 'heartbeat', v: 1, filler: 'x'.repeat(200_000) };
  for (let i = 0; i < 8; i += 1) {
    filler.append(body as never, Buffer.alloc, (entry) => spool.writeEntry({ entry, endsCall: '', endsEpoch: false }));
  }
  const seqs: number[] = [];
  for (
    let batch = spool.read(start, { entries: 100, bytes: 1e9 });
    batch.entries.length > 0;
    batch = spool.read(batch.next, { entries: 100, bytes: 1e9 })
  ) {
    seqs.push(...batch.entries.filter((entry) => entry.stream === stream).map(({ seq }) => seq));
  }
  assert.deepEqual(
    seqs,
    Array.from({ length: count }, (_, i) => i),
  );
  await spool.close();
});

test('files belong to their owner alone', async (t) => {
  const dir = join(folder(t), 'spool');
  const spool = open(dir);
  write(spool, newChain());
  spool.acknowledge(stream, 1, 0);
  await spool.synced();
  assert.equal(statSync(dir).mode & 0o777, 0o700);
  for (const name of readdirSync(dir)) assert.equal(statSync(join(dir, name)).mode & 0o077, 0, name);
  await spool.close();
});

test('a second process gets a clear error, and may come in when the first has left', async (t) => {
  const dir = folder(t);
  const spool = open(dir);
  assert.throws(
    () => open(dir),
    (error: Error) => error instanceof SpoolUnavailable && /another process is using/.test(error.message),
  );
  await spool.close();
  await open(dir).close();
});

test('acknowledged segments are removed, those with an open call are not, and positions stay valid', async (t) => {
  const dir = folder(t);
  const spool = open(dir, { segmentBytes: 2000 });
  const chain = newChain();
  spool.writeOpen({ stream, epoch: 1, requestId: 'r-1', reservation: reservation(5) });
  for (let i = 0; i < 40; i += 1) write(spool, chain);
  const before = segmentsIn(dir);
  assert.ok(before.length > 4);
  spool.acknowledge(stream, 1, 39);
  assert.equal(spool.owed(), 0);
  await spool.close();
  assert.deepEqual(segmentsIn(dir), before.slice(0, 1), 'only the segment with the open call is left');

  const next = open(dir);
  assert.deepEqual(next.recovered, [
    {
      stream,
      key: 'agents/bot',
      epoch: 1,
      lastSeq: 39,
      whole: true,
      openCalls: [{ requestId: 'r-1', attempts: [attempt(5)] }],
      refusals: [],
    },
  ]);
  assert.deepEqual(owed(next), []);
  const second = newChain(stream, 2);
  write(next, second);
  assert.deepEqual(names(owed(next)), [`${stream} 2 0`]);
  next.acknowledge(stream, 2, 0);
  await next.close();
  assert.deepEqual(segmentsIn(dir), [], 'the new epoch has charged the call');
});

test('an open epoch that is acknowledged and trimmed is still recovered; a closed one leaves nothing', async (t) => {
  const dir = folder(t);
  const spool = open(dir);
  const [one, two] = [newChain(), newChain(other)];
  write(spool, one);
  write(spool, two);
  write(spool, two, { endsEpoch: true });
  spool.acknowledge(stream, 1, 0);
  spool.acknowledge(other, 1, 1);
  await spool.close();
  assert.deepEqual(segmentsIn(dir), []);
  const next = open(dir);
  assert.deepEqual(next.recovered, [{ stream, key: 'agents/bot', epoch: 1, lastSeq: 0, whole: true, openCalls: [], refusals: [] }]);
  await next.close();
});

test('a call is open until its entry is written, with all its reservations', async (t) => {
  const dir = folder(t);
  const spool = open(dir);
  const chain = newChain();
  write(spool, chain);
  for (const requestId of ['done', 'open', 'open']) spool.writeOpen({ stream, epoch: 1, requestId, reservation: reservation(5) });
  write(spool, chain, { endsCall: 'done' });
  const next = open(crashed(t, dir));
  assert.deepEqual(next.recovered[0]?.openCalls, [{ requestId: 'open', attempts: [attempt(5), attempt(5)] }]);
  assert.equal(next.recovered[0]?.lastSeq, 1);
  assert.equal(next.recovered[0]?.whole, true);
  await next.close();
  await spool.close();
});

test('an outcome is that of the last attempt; a reservation that is used again is open again', async (t) => {
  const dir = folder(t);
  const spool = open(dir);
  write(spool, newChain());
  const call = { stream, epoch: 1, requestId: 'r-1' };
  spool.writeOpen({ ...call, reservation: reservation(5) });
  const attemptsNow = async () => {
    const next = open(crashed(t, dir));
    const [found] = next.recovered[0]?.openCalls ?? [];
    await next.close();
    return found?.attempts;
  };
  spool.writeOutcome({ ...call, costNano: 0 });
  assert.deepEqual(await attemptsNow(), [attempt(5, 0)]);
  spool.writeOpen(call);
  assert.deepEqual(await attemptsNow(), [attempt(5)]);
  spool.writeOpen({ ...call, reservation: reservation(7) });
  spool.writeOutcome({ ...call, costNano: 6 });
  assert.deepEqual(await attemptsNow(), [attempt(5), attempt(7, 6)]);
  spool.writeOutcome({ ...call, requestId: 'ended', costNano: 6 });
  assert.deepEqual((await attemptsNow())?.length, 2, 'an outcome opens no call');
  await spool.close();
});

test('the segment of an outcome stays until the call has ended', async (t) => {
  const dir = folder(t);
  const spool = open(dir, { segmentBytes: 2000 });
  const chain = newChain();
  const call = { stream, epoch: 1, requestId: 'r-1' };
  spool.writeOpen({ ...call, reservation: reservation(5) });
  for (let i = 0; i < 20; i += 1) write(spool, chain);
  spool.writeOutcome({ ...call, costNano: 2 });
  for (let i = 0; i < 20; i += 1) write(spool, chain);
  spool.acknowledge(stream, 1, 39);
  await spool.close();
  assert.equal(segmentsIn(dir).length, 2);
  const next = open(dir);
  assert.deepEqual(next.recovered[0]?.openCalls, [{ requestId: 'r-1', attempts: [attempt(5, 2)] }]);
  write(next, newChain(stream, 2));
  next.acknowledge(stream, 2, 0);
  await next.close();
  assert.deepEqual(segmentsIn(dir), []);
});

test('after another boot nothing is whole, however often the process starts again before it recovers', async (t) => {
  const dir = folder(t);
  const spool = open(dir);
  write(spool, newChain());
  const copy = crashed(t, dir);
  for (let start = 0; start < 3; start += 1) {
    const next = open(copy, { bootId: 'boot-2' });
    assert.equal(next.recovered[0]?.whole, false);
    await next.close();
  }
  const next = open(copy, { bootId: 'boot-2' });
  write(next, newChain(stream, 2));
  const last = open(crashed(t, copy), { bootId: 'boot-2' });
  assert.equal(last.recovered[0]?.epoch, 2);
  assert.equal(last.recovered[0]?.whole, true, 'the epoch that began after the boot');
  await last.close();
  await next.close();
  await spool.close();
});

test('a tail torn at any byte is cut to the last whole record, and reported unless the cut is between records', async (t) => {
  const dir = folder(t);
  const spool = open(dir);
  const chain = newChain();
  const ends: number[] = [];
  const kinds: ('entry' | 'open')[] = [];
  for (const kind of ['entry', 'open', 'entry', 'open', 'entry'] as const) {
    if (kind === 'entry') write(spool, chain, kinds.includes('open') ? { endsCall: `r-${kinds.length - 1}` } : {});
    else spool.writeOpen({ stream, epoch: 1, requestId: `r-${kinds.length}`, reservation: reservation(5) });
    kinds.push(kind);
    ends.push(statSync(onlySegment(dir)).size);
  }
  const copy = crashed(t, dir);
  const whole = readFileSync(onlySegment(copy));
  const headerBytes = 8 + whole.readUInt32LE(0);
  for (let length = 0; length <= whole.length; length += 1) {
    const at = join(folder(t), 'spool');
    mkdirSync(at);
    for (const name of ['acks.json']) cpSync(join(copy, name), join(at, name));
    writeFileSync(join(at, '0000000000000000.seg'), whole.subarray(0, length));
    const kept = kinds.slice(0, ends.filter((end) => end <= length).length);
    const next = open(at);
    assert.equal(owed(next).length, kept.filter((kind) => kind === 'entry').length, `cut at ${length}`);
    const between = length === 0 || length === headerBytes || ends.includes(length);
    if (kept.length > 0) assert.equal(next.recovered[0]?.whole, between, `cut at ${length}`);
    assert.equal(next.recovered[0]?.openCalls.length ?? 0, kept.at(-1) === 'open' ? 1 : 0, `cut at ${length}`);
    // It continues to write after the cut, and the loss stays known until the stream is recovered.
    write(next, newChain(other));
    await next.close();
    const again = open(at);
    assert.equal(owed(again).length, kept.filter((kind) => kind === 'entry').length + 1, `cut at ${length}`);
    if (kept.length > 0) assert.equal(again.recovered.find((each) => each.stream === stream)?.whole, between, `cut at ${length}, again`);
    await again.close();
  }
  await spool.close();
});

test('a flipped bit anywhere loses no record before it and is reported', async (t) => {
  const dir = folder(t);
  const spool = open(dir, { segmentBytes: 600 });
  const chain = newChain();
  for (let i = 0; i < 8; i += 1) write(spool, chain);
  const files = segmentsIn(dir);
  assert.ok(files.length >= 3);
  await fc.assert(
    fc.asyncProperty(fc.nat(files.length - 1), fc.nat(), fc.nat(7), async (file, offset, bit) => {
      const copy = crashed(t, dir);
      const path = join(copy, files[file] ?? '');
      const bytes = readFileSync(path);
      const at = offset % bytes.length;
      bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
      writeFileSync(path, bytes);
      const next = open(copy);
      const left = owed(next).map(({ seq }) => seq);
      assert.deepEqual(
        left,
        left.map((_, i) => (left[0] ?? 0) + i),
        'what is left has no gap',
      );
      assert.ok(next.recovered.every(({ whole }) => !whole));
      assert.ok(file === 0 || left[0] === 0);
      await next.close();
    }),
    { numRuns: 60 },
  );
  await spool.close();
});

test('unsaved acknowledgements only make the proxy ship entries twice', async (t) => {
  const dir = folder(t);
  const spool = open(dir, { segmentBytes: 600 });
  const chain = newChain();
  for (let i = 0; i < 8; i += 1) write(spool, chain);
  const stale = crashed(t, dir);
  spool.acknowledge(stream, 1, 5);
  await spool.close();
  const next = open(stale);
  assert.equal(owed(next).length, 8);
  await next.close();
  // The file from before the trimming, with the segments from after it.
  cpSync(join(stale, 'acks.json'), join(dir, 'acks.json'));
  const trimmed = open(dir);
  assert.equal(owed(trimmed).at(-1)?.seq, 7);
  assert.equal(trimmed.recovered[0]?.lastSeq, 7);
  await trimmed.close();
});

test('a spool without its acknowledgement file is read, and not believed to be whole', async (t) => {
  const dir = folder(t);
  const spool = open(dir);
  write(spool, newChain());
  const copy = crashed(t, dir);
  truncateSync(join(copy, 'acks.json'), 0);
  const next = open(copy);
  assert.deepEqual(names(owed(next)), [`${stream} 1 0`]);
  assert.equal(next.recovered[0]?.whole, false);
  await next.close();
  await spool.close();
});

test('after closing nothing is written', async (t) => {
  const spool = open(folder(t));
  await spool.close();
  assert.throws(() => write(spool, newChain()), SpoolUnavailable);
});
