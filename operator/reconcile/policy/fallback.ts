import type { Problem } from '../../../core/errors.ts';
import type { ProviderPool, VirtualKey, VirtualKeySpec } from '../../../core/manifest/types.ts';
import type { KeyName } from '../../../core/names.ts';

/** What is served of an object: its spec as it stands, the last spec that was good, or nothing. */
export type Serving = 'declared' | 'lastGood' | 'nothing';

/** One object with the versions of it that may be served, the most wanted first. */
export interface Candidate {
  /** As `idOf` gives it. */
  readonly id: string;
  readonly steps: readonly Step[];
  /** Why the first step is not what is declared. */
  readonly problems: readonly Problem[];
}

export interface Step {
  readonly serving: Serving;
  /** Null: it is left out. */
  readonly manifest: VirtualKey | ProviderPool | null;
}

/** What became of one object. */
export interface Verdict {
  readonly serving: Serving;
  readonly problems: readonly Problem[];
}

/**
 * What stands in for a VirtualKey that cannot be served. Left out, its life would end, and with it the token that
 * Pods hold; so it keeps its life and gives nobody anything: no token, no pool, and what descends from it is suspended.
 */
export function parked({ name, origin }: Pick<VirtualKey, 'name' | 'origin'>): VirtualKey {
  const spec: VirtualKeySpec = {
    owner: {},
    labels: {},
    issueToken: false,
    pools: [],
    models: { deny: [], aliases: {} },
    limits: [],
    rate: {},
    perRequest: {},
    suspended: true,
    delivery: [],
  };
  return { kind: 'VirtualKey', name, origin, spec };
}

interface Row {
  readonly candidate: Candidate;
  at: number;
  readonly problems: Problem[];
}

/**
 * Adopts as much as can be: an object with a problem steps down, to its last good version and then to nothing, until
 * adoption succeeds, so that one bad object never holds back another. Each round lowers one object at least.
 */
export function adoptAround(
  candidates: readonly Candidate[],
  adopt: (manifests: readonly (VirtualKey | ProviderPool)[]) => readonly Problem[],
): ReadonlyMap<string, Verdict> {
  const rows = new Map(
    candidates.map((candidate): [string, Row] => [candidate.id, { candidate, at: 0, problems: [...candidate.problems] }]),
  );
  for (;;) {
    parkOrphans(rows);
    const problems = adopt([...rows.values()].flatMap((row) => stepOf(row).manifest ?? []));
    if (problems.length === 0) break;
    if (!lower(rows, problems)) throw new Error(`what is left of the policy still has a problem: ${problems[0]?.message}`);
  }
  return new Map([...rows].map(([id, row]) => [id, { serving: stepOf(row).serving, problems: row.problems }]));
}

function stepOf({ candidate, at }: Row): Step {
  return candidate.steps[at] ?? { serving: 'nothing', manifest: null };
}

/** True where anything could step down. Problems of a version that is not the declared one are of no use to people. */
function lower(rows: ReadonlyMap<string, Row>, problems: readonly Problem[]): boolean {
  const lowered = new Set<Row>();
  for (const problem of problems) {
    const row = rows.get(problem.where);
    if (row === undefined || row.at >= row.candidate.steps.length - 1) continue;
    if (stepOf(row).serving === 'declared') row.problems.push(problem);
    lowered.add(row);
  }
  for (const row of lowered) row.at += 1;
  return lowered.size > 0;
}

/**
 * A key below a parked one would be served without the limits of its parent: it is parked as well. Each row is looked at when
 * a parent of it is parked, not once a generation: a tenant may hang thousands below one another.
 */
function parkOrphans(rows: ReadonlyMap<string, Row>): void {
  const below = childrenOf(rows);
  const parked = [...rows.values()].filter(isParked);
  for (let row = parked.pop(); row !== undefined; row = parked.pop()) {
    for (const child of below.get(row.candidate.id) ?? []) {
      for (let problem = orphaned(child, rows); problem !== null; problem = orphaned(child, rows)) {
        lower(rows, [problem]);
        if (isParked(child)) parked.push(child);
      }
    }
  }
}

/** By id: rows of which a version names that key as its parent. */
function childrenOf(rows: ReadonlyMap<string, Row>): ReadonlyMap<string, readonly Row[]> {
  const below = new Map<string, Row[]>();
  for (const row of rows.values()) {
    const parents = new Set(row.candidate.steps.flatMap(({ manifest }) => parentOf(manifest) ?? []));
    for (const parent of parents) {
      const id = `VirtualKey ${parent}`;
      const known = below.get(id);
      if (known === undefined) below.set(id, [row]);
      else known.push(row);
    }
  }
  return below;
}

function orphaned(row: Row, rows: ReadonlyMap<string, Row>): Problem | null {
  const { serving, manifest } = stepOf(row);
  const parent = parentOf(manifest);
  const above = parent === undefined ? undefined : rows.get(`VirtualKey ${parent}`);
  if (serving === 'nothing' || manifest === null || above === undefined || !isParked(above)) return null;
  const message = `VirtualKey ${manifest.name} descends from ${parent}, which cannot be served; mend that key first`;
  return { where: row.candidate.id, path: 'spec.parentRef', message };
}

function isParked(row: Row): boolean {
  return stepOf(row).serving === 'nothing';
}

function parentOf(manifest: Step['manifest']): KeyName | undefined {
  return manifest?.kind === 'VirtualKey' ? manifest.spec.parentRef : undefined;
}
