import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Problem } from '../../../core/errors.ts';
import type { VirtualKey } from '../../../core/manifest/types.ts';
import { type KeyName, keyName } from '../../../core/names.ts';
import { adoptAround, type Candidate, parked } from './fallback.ts';

function key(name: string, labels: Record<string, string> = {}, parent?: string): VirtualKey {
  const whole = parked({ name: name as KeyName, origin: { file: `VirtualKey ${name}`, line: 1 } });
  return { ...whole, spec: { ...whole.spec, labels, issueToken: true, ...(parent !== undefined && { parentRef: parent as KeyName }) } };
}

function candidate(declared: VirtualKey, lastGood?: VirtualKey): Candidate {
  const { name, origin } = declared;
  return {
    id: origin.file,
    problems: [],
    steps: [
      { serving: 'declared', manifest: declared },
      ...(lastGood === undefined ? [] : [{ serving: 'lastGood', manifest: lastGood } as const]),
      { serving: 'nothing', manifest: parked({ name, origin }) },
    ],
  };
}

/** Refuses keys with the label `bad`. */
const refuseBad = (manifests: readonly { readonly origin: { readonly file: string } }[]): readonly Problem[] =>
  (manifests as readonly VirtualKey[])
    .filter(({ spec }) => spec.labels['bad'])
    .map(({ origin }) => ({ where: origin.file, message: 'bad' }));

test('what is good is adopted as it is', () => {
  const verdicts = adoptAround([candidate(key('a/x')), candidate(key('a/y'))], refuseBad);
  assert.deepEqual(
    [...verdicts.values()].map(({ serving }) => serving),
    ['declared', 'declared'],
  );
});

test('a bad one steps down to its last good version, and its problem is told', () => {
  const verdicts = adoptAround([candidate(key('a/x', { bad: 'yes' }), key('a/x')), candidate(key('a/y'))], refuseBad);
  assert.deepEqual(verdicts.get('VirtualKey a/x'), { serving: 'lastGood', problems: [{ where: 'VirtualKey a/x', message: 'bad' }] });
  assert.equal(verdicts.get('VirtualKey a/y')?.serving, 'declared');
});

test('without a good version it is parked, and so is all that descends from it', () => {
  const family = [
    candidate(key('a/x', { bad: 'yes' })),
    candidate(key('a/child', {}, 'a/x')),
    candidate(key('a/grandchild', {}, 'a/child')),
  ];
  let adopted: readonly VirtualKey[] = [];
  const verdicts = adoptAround(family, (manifests) => {
    adopted = manifests as readonly VirtualKey[];
    return refuseBad(manifests);
  });
  assert.deepEqual(
    [...verdicts.values()].map(({ serving }) => serving),
    ['nothing', 'nothing', 'nothing'],
  );
  assert.ok(adopted.length === 3 && adopted.every(({ spec }) => spec.suspended && !spec.issueToken && spec.parentRef === undefined));
  assert.match(verdicts.get('VirtualKey a/grandchild')?.problems[0]?.message ?? '', /descends from a\/child, which cannot be served/);
});

test('thousands of keys below one another are parked in one sweep', () => {
  const chain = Array.from({ length: 5_000 }, (_, index) => candidate(key(`a/k${index}`, {}, index === 0 ? undefined : `a/k${index - 1}`)));
  const steps = [
    { serving: 'nothing', manifest: parked({ name: keyName('a', 'k0'), origin: { file: 'VirtualKey a/k0', line: 1 } }) },
  ] as const;
  const startMs = performance.now();
  const verdicts = adoptAround([{ id: 'VirtualKey a/k0', problems: [], steps }, ...chain.slice(1)], () => []);
  assert.ok([...verdicts.values()].every(({ serving }) => serving === 'nothing'));
  assert.ok(performance.now() - startMs < 5_000);
});

test('an orphan whose last good version has another parent is served as that', () => {
  const child = candidate(key('a/child', {}, 'a/bad'), key('a/child', {}, 'a/good'));
  const verdicts = adoptAround([candidate(key('a/bad', { bad: 'yes' })), candidate(key('a/good')), child], refuseBad);
  assert.equal(verdicts.get('VirtualKey a/child')?.serving, 'lastGood');
});

test('a problem that nothing can be done about is thrown, since it would never end', () => {
  assert.throws(() => adoptAround([candidate(key('a/x'))], () => [{ where: 'elsewhere', message: 'odd' }]), /odd/);
});
