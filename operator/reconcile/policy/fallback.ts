import { emptySpec, type ProviderPool, type VirtualKey } from '../../../core/manifest/types.ts';
import { type KeyName, type ObjectId, objectId } from '../../../core/names.ts';
import { describeProblem, type Problem } from '../../../core/problem.ts';

/** What is served of an object: its spec as declared, the last spec that was good, or nothing. */
type Serving = 'declared' | 'lastGood' | 'nothing';

/** One object with the versions of it that may be served, the most wanted first. */
export interface Candidate {
  readonly id: ObjectId;
  readonly versions: readonly Version[];
  /** Why the first version is not what is declared. */
  readonly problems: readonly Problem[];
}

/** What may be served of an object. */
export interface Version {
  readonly serving: Serving;
  /** Null: it is left out. */
  readonly manifest: VirtualKey | ProviderPool | null;
}

/** What became of one object. */
export interface Verdict {
  readonly serving: Serving;
  readonly problems: readonly Problem[];
}

/** What was adopted, and what became of each candidate. */
export interface Adopted {
  readonly manifests: readonly (VirtualKey | ProviderPool)[];
  readonly verdicts: ReadonlyMap<ObjectId, Verdict>;
}

/**
 * What is served in place of a VirtualKey that cannot be served. Without it the key's life would end, and with it the token that
 * Pods hold. The stand-in keeps that life and permits nothing: no token, no pool, and what descends from it is suspended.
 */
export function standIn(name: KeyName): VirtualKey {
  const spec = { ...emptySpec, issueToken: false, pools: [], suspended: true, delivery: [] };
  return { kind: 'VirtualKey', name, spec };
}

interface Row {
  readonly candidate: Candidate;
  /** The version that is tried. */
  at: number;
  readonly problems: Problem[];
}

type Rows = ReadonlyMap<ObjectId, Row>;

/**
 * Adopts as much as can be: an object with a problem falls back to its last good version and then to nothing, until
 * adoption succeeds, so that one bad object never holds back another. In each round at least one object falls back.
 */
export function adoptAround(
  candidates: readonly Candidate[],
  adopt: (manifests: readonly (VirtualKey | ProviderPool)[]) => readonly Problem[],
): Adopted {
  const rows = new Map(
    candidates.map((candidate): [ObjectId, Row] => [candidate.id, { candidate, at: 0, problems: [...candidate.problems] }]),
  );
  for (;;) {
    fallBackOrphans(rows);
    const manifests = [...rows.values()].flatMap((row) => versionOf(row).manifest ?? []);
    const problems = adopt(manifests);
    const [first] = problems;
    if (first === undefined) {
      return {
        manifests,
        verdicts: new Map([...rows].map(([id, row]) => [id, { serving: versionOf(row).serving, problems: row.problems }])),
      };
    }
    if (!fallBack(rows, problems)) throw new Error(`what is left of the policy still has a problem: ${describeProblem(first)}`);
  }
}

function versionOf({ candidate, at }: Row): Version {
  return candidate.versions[at] ?? { serving: 'nothing', manifest: null };
}

/** True where any object could fall back. Problems of a version that is not the declared one are of no use to people. */
function fallBack(rows: Rows, problems: readonly Problem[]): boolean {
  const fallen = new Set<Row>();
  for (const problem of problems) {
    const row = problem.object && rows.get(objectId(problem.object));
    if (row === undefined || row.at >= row.candidate.versions.length - 1) continue;
    if (versionOf(row).serving === 'declared') row.problems.push(problem);
    fallen.add(row);
  }
  for (const row of fallen) row.at += 1;
  return fallen.size > 0;
}

/**
 * A key below one that is not served would be served without the limits of its parent: it falls back as well. Each row is visited when
 * a parent of it is not served, not once a generation: a tenant may hang thousands below one another.
 */
function fallBackOrphans(rows: Rows): void {
  const below = childrenOf(rows);
  const unserved = [...rows.values()].filter(isUnserved);
  for (let row = unserved.pop(); row !== undefined; row = unserved.pop()) {
    for (const child of below.get(row.candidate.id) ?? []) {
      for (let problem = orphaned(child, rows); problem !== null; problem = orphaned(child, rows)) {
        fallBack(rows, [problem]);
        if (isUnserved(child)) unserved.push(child);
      }
    }
  }
}

/** By id: rows of which a version names that key as its parent. */
function childrenOf(rows: Rows): ReadonlyMap<ObjectId, readonly Row[]> {
  const below = new Map<ObjectId, Row[]>();
  for (const row of rows.values()) {
    const parents = new Set(row.candidate.versions.flatMap(({ manifest }) => parentOf(manifest) ?? []));
    for (const parent of parents) {
      const id = keyId(parent);
      const known = below.get(id);
      if (known === undefined) below.set(id, [row]);
      else known.push(row);
    }
  }
  return below;
}

function orphaned(row: Row, rows: Rows): Problem | null {
  const { serving, manifest } = versionOf(row);
  const parent = parentOf(manifest);
  const above = parent === undefined ? undefined : rows.get(keyId(parent));
  if (serving === 'nothing' || manifest === null || parent === undefined || above === undefined || !isUnserved(above)) return null;
  const { kind, name } = manifest;
  return { code: 'parent_not_served', object: { kind, name }, path: 'spec.parentRef', parent };
}

function isUnserved(row: Row): boolean {
  return versionOf(row).serving === 'nothing';
}

function parentOf(manifest: Version['manifest']): KeyName | undefined {
  return manifest?.kind === 'VirtualKey' ? manifest.spec.parentRef : undefined;
}

function keyId(name: KeyName): ObjectId {
  return objectId({ kind: 'VirtualKey', name });
}
