import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { type EpochId, type EpochRef, epochId, keyName, type StreamId, streamId } from '../names.ts';
import { createChain } from './chain.ts';
import { commit, createSealer, deriveEpochKey, ratchet } from './entry.ts';
import { type Finding, formatFinding } from './finding.ts';
import type { Entry, HeartbeatBody } from './types.ts';
import { Verifier } from './verify.ts';
import type { EpochHead } from './verify-epoch.ts';

const root = randomBytes(32);
const stream = streamId(keyName('agents', 'bot'), 'i-1');
const other = streamId(keyName('agents', 'bat'), 'i-1');
const nonces = new Map<EpochId, string>();
const length = 6;

function nonceOf({ stream: of, epoch }: EpochRef): string | null {
  return nonces.get(epochId({ stream: of, epoch })) ?? null;
}

function write(of: StreamId, epoch: number, count: number): Entry[] {
  const nonce = nonceOf({ stream: of, epoch }) ?? randomBytes(16).toString('hex');
  nonces.set(epochId({ stream: of, epoch }), nonce);
  const chain = createChain({ stream: of, epoch, key: deriveEpochKey(root, nonce, of, epoch) });
  return Array.from({ length: count }, (_, i) => {
    const body: HeartbeatBody = { v: 1, type: 'heartbeat', time: new Date(i * 1000).toISOString(), key: keyName('agents', 'bot') };
    return chain.append(body, randomBytes);
  });
}

function headOf(entries: readonly Entry[]): EpochHead {
  const last = entries.at(-1);
  assert.ok(last);
  return { stream: last.stream, epoch: last.epoch, lastSeq: last.seq, lastMac: last.mac };
}

function check(entries: readonly Entry[], heads: readonly EpochHead[]): readonly Finding[] {
  const verifier = new Verifier(root, nonceOf);
  for (const entry of entries) verifier.add(entry);
  for (const head of heads) verifier.compareHead(head);
  return verifier.findings();
}

function flip(bytes: Buffer): Buffer {
  const changed = Buffer.from(bytes);
  changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
  return changed;
}

function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  assert.ok(item);
  return item;
}

/** Epochs 1 and 2 of one stream and one of another, interleaved as a collector stores them. */
const first = write(stream, 1, length);
const second = write(stream, 2, length);
const elsewhere = write(other, 1, length);
const heads = [headOf(first), headOf(second), headOf(elsewhere)];

/** The whole store with epoch 2 replaced by `mutated`, other streams mixed in between. */
function mixed(mutated: readonly Entry[]): Entry[] {
  const rest = [...elsewhere];
  return [...first, ...mutated.flatMap((entry) => [entry, ...rest.splice(0, 1)]), ...rest];
}

function expectOnly(findings: readonly Finding[], kind: Finding['kind'], from: number, to = from): void {
  assert.deepEqual(
    findings.map((found) => [found.kind, found.stream, found.epoch, found.from, found.to]),
    [[kind, stream, 2, from, to]],
    findings.map(formatFinding).join('\n'),
  );
}

test('an intact store has no findings, and every entry counts as verified', () => {
  const verifier = new Verifier(root, nonceOf);
  for (const entry of mixed(second)) assert.equal(verifier.add(entry), true);
  for (const head of heads) verifier.compareHead(head);
  assert.deepEqual(verifier.findings(), []);
  assert.equal(verifier.verified(), 3 * length);
});

test('an edited field is named with its entry, at every index', () => {
  const edits = { body: 'edited', salt: 'edited', mac: 'wrong_mac', previousMac: 'wrong_previous_mac' } as const;
  for (const [field, kind] of Object.entries(edits)) {
    for (let i = 0; i < length; i += 1) {
      const entry = at(second, i);
      const edited = { ...entry, [field]: flip(entry[field as keyof typeof edits]) };
      expectOnly(check(mixed(second.with(i, edited)), heads), kind, i);
    }
  }
});

test('a removed entry is named, at every index; at the end as a truncation', () => {
  for (let i = 0; i < length; i += 1) {
    const findings = check(mixed(second.toSpliced(i, 1)), heads);
    expectOnly(findings, i === length - 1 ? 'truncated' : 'missing', i);
  }
  expectOnly(check(mixed(second.toSpliced(1, 3)), heads), 'missing', 1, 3);
});

test('a truncated epoch is named by what its head says, from any length', () => {
  for (let kept = 0; kept < length; kept += 1) expectOnly(check(mixed(second.slice(0, kept)), heads), 'truncated', kept, length - 1);
});

test('two entries that changed places are named, for every pair', () => {
  for (let i = 0; i < length; i += 1) {
    for (let j = i + 1; j < length; j += 1) {
      const swapped = second.with(i, { ...at(second, j), seq: i }).with(j, { ...at(second, i), seq: j });
      expectOnly(check(mixed(swapped), heads), 'swapped', i, j);
    }
  }
});

test('entries stored in another order are named', () => {
  for (let i = 0; i + 1 < length; i += 1) {
    const findings = check(mixed(second.toSpliced(i, 2, at(second, i + 1), at(second, i))), heads);
    expectOnly(findings, 'out_of_order', i);
  }
});

test('an inserted entry is named: a repetition, a foreign entry in the middle, one more at the end', () => {
  for (let i = 0; i < length; i += 1) expectOnly(check(mixed(second.toSpliced(i + 1, 0, at(second, i))), heads), 'duplicate', i);
  const stranger = { ...at(elsewhere, 2), stream, epoch: 2, seq: length };
  const kinds = check(mixed([...second, stranger]), heads).map((found) => found.kind);
  assert.deepEqual(kinds.sort(), ['beyond_head', 'edited']);
  for (let i = 0; i < length; i += 1) {
    const shifted = second.slice(i).map((entry) => ({ ...entry, seq: entry.seq + 1 }));
    const inserted = [...second.slice(0, i), { ...at(elsewhere, 0), stream, epoch: 2, seq: i }, ...shifted];
    const findings = check(mixed(inserted), heads);
    assert.ok(
      findings.some((found) => found.stream === stream && found.epoch === 2 && found.from === i),
      findings.map(formatFinding).join('\n'),
    );
  }
});

test('a fork made with the stolen key of one moment is named where it leaves the chain', () => {
  for (let i = 1; i < length; i += 1) {
    let key = deriveEpochKey(root, nonceOf({ stream, epoch: 2 }) ?? '', stream, 2);
    for (let seq = 0; seq < i; seq += 1) key = ratchet(key);
    const fork = { ...at(second, i), previousMac: randomBytes(32) };
    const mac = createSealer(stream, 2)(key, i, fork.previousMac, commit(Buffer.concat([fork.salt, fork.body])));
    const findings = check(mixed([...second.slice(0, i), { ...fork, mac }]), [at(heads, 0), at(heads, 2), headOf([{ ...fork, mac }])]);
    expectOnly(findings, 'forked', i);
  }
});

test('an epoch re-written with a later key does not verify', () => {
  let key = deriveEpochKey(root, nonceOf({ stream, epoch: 2 }) ?? '', stream, 2);
  for (let seq = 0; seq < length; seq += 1) key = ratchet(key);
  const chain = createChain({ stream, epoch: 2, key });
  const body: HeartbeatBody = { v: 1, type: 'heartbeat', time: new Date(0).toISOString(), key: keyName('agents', 'bot') };
  const resealed = second.map(() => chain.append(body, randomBytes));
  const findings = check(mixed(resealed), [at(heads, 0), at(heads, 2), headOf(resealed)]);
  assert.equal(findings.filter((found) => found.epoch === 2 && found.kind !== 'wrong_head').length, length);
});

test('another head than the newest entry, and an epoch that nobody opened, are named', () => {
  expectOnly(check(mixed(second), [at(heads, 0), { ...at(heads, 1), lastMac: randomBytes(32) }, at(heads, 2)]), 'wrong_head', length - 1);
  const unknown = check([...mixed(second), { ...at(first, 0), epoch: 9 }], heads);
  assert.deepEqual(
    unknown.map((found) => [found.kind, found.epoch, found.from]),
    [['unknown_epoch', 9, 0]],
  );
});

test('a made-up seq is named and costs no time', () => {
  const absurd = { ...at(second, 1), seq: 2 ** 50 };
  const findings = check(mixed([...second, absurd]), heads);
  expectOnly(findings, 'beyond_head', 2 ** 50);
});

test('thousands of broken entries are counted, not listed', () => {
  const many = write(other, 2, 500).map((entry) => ({ ...entry, body: flip(entry.body) }));
  const findings = check(many, [headOf(many)]);
  assert.equal(findings.length, 65);
  assert.match(formatFinding(at(findings, 64)), /436 more broken entries/);
});

test('entries that follow the recorded head, as from a spool, are verified as its continuation', () => {
  const verifier = new Verifier(root, nonceOf);
  for (const entry of second.slice(0, 3)) verifier.add(entry);
  verifier.compareHead(headOf(second.slice(0, 3)));
  for (const entry of second.slice(3)) assert.equal(verifier.add(entry), true);
  assert.deepEqual(verifier.findings(), []);
});

test('nothing of an authentic entry is kept, because it may be a view of a whole page', () => {
  const verifier = new Verifier(root, nonceOf);
  for (const entry of first) {
    const mac = Buffer.from(entry.mac);
    assert.ok(verifier.add({ ...entry, mac }));
    mac.fill(0);
  }
  verifier.compareHead(headOf(first));
  assert.deepEqual(verifier.findings(), []);
});
