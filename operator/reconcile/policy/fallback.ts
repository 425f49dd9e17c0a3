import { emptySpec, type ProviderPool, type VirtualKey } from '../../../core/manifest/types.ts';
import { type KeyName, type ObjectId, objectId } from '../../../core/names.ts';
import { describeProblem, type Problem } from '../../../core/problem.ts';

/** What is served of an object: its declared spec, its last good spec, or nothing. */
type Serving = 'declared' | 'lastGood' | 'nothing';

/** One object with the versions that may be served, in order of preference. */
export interface Candidate {
  readonly id: ObjectId;
  readonly versions: readonly Version[];
  /** Why the first version differs from the declared one. */
  readonly problems: readonly Problem[];
}

/** One version of an object. */
export interface Version {
  readonly serving: Serving;
  /** Null: the object is omitted. */
  readonly manifest: VirtualKey | ProviderPool | null;
}

/** The outcome for one object. */
export interface Verdict {
  readonly serving: Serving;
  readonly problems: readonly Problem[];
}

/** The adopted policy, and the outcome for each candidate. */
export interface Adopted {
  readonly manifests: readonly (VirtualKey | ProviderPool)[];
  readonly verdicts: ReadonlyMap<ObjectId, Verdict>;
}

/**
 * Makes the stand-in of a VirtualKey that cannot be served. Without it, the key's life would end, and with it the token that
 * Pods hold. The stand-in keeps that life and permits nothing: it has no token and no pool, and its descendants are suspended.
 */
export function standIn(name: KeyName): VirtualKey {
  const spec = { ...emptySpec, issueToken: false, pools: [], suspended: true, delivery: [] };
  return { kind: 'VirtualKey', name, spec };
}

interface Row {
  readonly candidate: Candidate;
  /** Index of the current version. */
  at: number;
  readonly problems: Problem[];
}

type Rows = ReadonlyMap<ObjectId, Row>;

/**
 * Adopts as much as possible. An object with a problem falls back to its last good version and then to nothing, until
 * adoption succeeds, so that one bad object never blocks another. In each round, at least one object falls back.
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
    if (!fallBack(rows, problems)) throw new Error(`the rest of the policy still has a problem: ${describeProblem(first)}`);
  }
}

function versionOf({ candidate, at }: Row): Version {
  return candidate.versions[at] ?? { serving: 'nothing', manifest: null };
}

/** Lets objects fall back; returns true if one could. It keeps only problems of declared versions, because others do not help people. */
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
 * Lets the children of unserved keys fall back too, because they would be active without their parent's limits. It visits a row
 * only if its parent is not served, not once a generation: a tenant may chain thousands of keys.
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

/** By id: the rows with a version that names this key as its parent. */
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
