import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Scan } from './scan.ts';
import { stringEnd } from './string-end.ts';

function scanned(bytes: Buffer, most: number): { readonly scan: Scan; readonly runs: number } {
  const scan = new Scan(bytes, { start: 0, end: bytes.length });
  let runs = 0;
  for (; !scan.isDone; runs += 1) scan.run(most);
  return { scan, runs };
}

test('a scan that pauses finds what a scan at once finds, also within strings of escapes', () => {
  const strings = ['\\"', '\\\\', '\\\\\\"', 'x', '\\u0022', 'é'].map((part) => `"${part.repeat(1_200_000 / part.length)}"`);
  const bytes = Buffer.from(`{${strings.map((string, at) => `"k${at}":[${string},{${string}:1}]`).join(',')}, "end" : 1 }`);
  const { scan: atOnce } = scanned(bytes, bytes.length);
  const { scan: inSlices, runs } = scanned(bytes, 256 * 1024);
  assert.equal(atOnce.problem, null);
  assert.deepEqual([inSlices.members, inSlices.parts, inSlices.colons], [atOnce.members, atOnce.parts, atOnce.colons]);
  assert.deepEqual(bytes.toString('utf8', inSlices.members.get('end')?.start, inSlices.members.get('end')?.end), '1');
  // Two strings of nothing but escaped quotes are each read in more than two slices.
  assert.ok(runs > strings.length + 4, `${runs} runs`);
});

/** The end of a string, read byte by byte. */
function endByBytes(bytes: Buffer, from: number): number {
  for (let at = from; at < bytes.length; at += bytes[at] === 0x5c ? 2 : 1) if (bytes[at] === 0x22) return at;
  return -1;
}

test('the end of any string is found where reading byte by byte finds it', () => {
  const runs = fc.tuple(fc.constantFrom('\\', '"', 'x', '\\"', '\\\\'), fc.constantFrom(1, 2, 3, 31, 32, 33, 4095, 4096, 4097, 9000));
  fc.assert(
    fc.property(fc.array(runs, { maxLength: 8 }), (parts) => {
      const bytes = Buffer.from(parts.map(([part, times]) => part.repeat(times)).join(''));
      let found = stringEnd(bytes, 0, bytes.length);
      while (found < -1) found = stringEnd(bytes, ~found, bytes.length);
      assert.equal(found, endByBytes(bytes, 0));
    }),
    { numRuns: 500 },
  );
});
