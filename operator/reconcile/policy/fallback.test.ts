import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ProviderPool, VirtualKey } from '../../../core/manifest/types.ts';
import { type KeyName, keyName, objectId } from '../../../core/names.ts';
import { describeProblem, type Problem } from '../../../core/problem.ts';
import { adoptAround, type Candidate, standIn } from './fallback.ts';

function key(name: string, labels: Record<string, string> = {}, parent?: string): VirtualKey {
  const whole = standIn(name as KeyName);
  return { ...whole, spec: { ...whole.spec, labels, issueToken: true, ...(parent !== undefined && { parentRef: parent as KeyName }) } };
}

function candidate(declared: VirtualKey, lastGood?: VirtualKey): Candidate {
  return {
    id: objectId(declared),
    problems: [],
    versions: [
      { serving: 'declared', manifest: declared },
      ...(lastGood === undefined ? [] : [{ serving: 'lastGood', manifest: lastGood } as const]),
      { serving: 'nothing', manifest: standIn(declared.name) },
    ],
  };
}

/** Refuses keys with the label `bad`. */
const refuseBad = (manifests: readonly (VirtualKey | ProviderPool)[]): readonly Problem[] =>
  (manifests as readonly VirtualKey[]).filter(({ spec }) => spec.labels['bad']).map(({ name }) => badKey(name));

function badKey(name: string): Problem {
  return { code: 'invalid_field', object: { kind: 'VirtualKey', name }, message: 'bad' };
}

const idOf = (name: string) => objectId({ kind: 'VirtualKey', name });

test('good objects are adopted unchanged', () => {
  const { verdicts } = adoptAround([candidate(key('a/x')), candidate(key('a/y'))], refuseBad);
  assert.deepEqual(
    [...verdicts.values()].map(({ serving }) => serving),
    ['declared', 'declared'],
  );
});

test('a bad object falls back to its last good version, and its problem is reported', () => {
  const { verdicts } = adoptAround([candidate(key('a/x', { bad: 'yes' }), key('a/x')), candidate(key('a/y'))], refuseBad);
  assert.deepEqual(verdicts.get(idOf('a/x')), { serving: 'lastGood', problems: [badKey('a/x')] });
  assert.equal(verdicts.get(idOf('a/y'))?.serving, 'declared');
});

test('without a good version a stand-in is served, also for all descendants', () => {
  const family = [
    candidate(key('a/x', { bad: 'yes' })),
    candidate(key('a/child', {}, 'a/x')),
    candidate(key('a/grandchild', {}, 'a/child')),
  ];
  const { verdicts, manifests } = adoptAround(family, refuseBad);
  const adopted = manifests as readonly VirtualKey[];
  assert.deepEqual(
    [...verdicts.values()].map(({ serving }) => serving),
    ['nothing', 'nothing', 'nothing'],
  );
  assert.ok(adopted.length === 3 && adopted.every(({ spec }) => spec.suspended && !spec.issueToken && spec.parentRef === undefined));
  const [problem] = verdicts.get(idOf('a/grandchild'))?.problems ?? [];
  assert.match(problem ? describeProblem(problem) : '', /descends from a\/child, which cannot be served/);
});

test('thousands of chained keys fall back in one sweep', () => {
  const chain = Array.from({ length: 5_000 }, (_, index) => candidate(key(`a/k${index}`, {}, index === 0 ? undefined : `a/k${index - 1}`)));
  const versions = [{ serving: 'nothing', manifest: standIn(keyName('a', 'k0')) }] as const;
  const startMs = performance.now();
  const { verdicts } = adoptAround([{ id: idOf('a/k0'), problems: [], versions }, ...chain.slice(1)], () => []);
  assert.ok([...verdicts.values()].every(({ serving }) => serving === 'nothing'));
  assert.ok(performance.now() - startMs < 5_000);
});

test('an orphan whose last good version has another parent is served as that', () => {
  const child = candidate(key('a/child', {}, 'a/bad'), key('a/child', {}, 'a/good'));
  const { verdicts } = adoptAround([candidate(key('a/bad', { bad: 'yes' })), candidate(key('a/good')), child], refuseBad);
  assert.equal(verdicts.get(idOf('a/child'))?.serving, 'lastGood');
});

test('a problem that nothing can be done about is thrown, since it would never end', () => {
  assert.throws(() => adoptAround([candidate(key('a/x'))], () => [{ ...badKey('else/where'), message: 'odd' }]), /odd/);
});
