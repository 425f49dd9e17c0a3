import type { Problem } from '../errors.ts';
import { nearest } from '../manifest/nearest.ts';
import type { Origin, VirtualKeySpec } from '../manifest/types.ts';
import type { NanoUsd } from '../money.ts';
import { type KeyName, namespaceOf } from '../names.ts';
import { type Selects, selectorFor } from './selector.ts';

/** One VirtualKey or sub-agent key in the tree of authority. */
export interface TreeNode {
  readonly key: KeyName;
  /** Absent on a sub-agent key and on the key of a run. */
  readonly origin?: Origin;
  readonly spec: VirtualKeySpec;
  /** From when its ttl counts, milliseconds since the epoch; absent where that is not known yet. */
  readonly createdAtMs?: number;
  /** Set on a sub-agent key that has a budget of its own. */
  readonly escrowNano?: NanoUsd;
  /** Set on the key of a run: its Pod or Job. */
  readonly run?: string;
}

/** From the root to a node, both included. */
export type TreePath = readonly TreeNode[];

/** VirtualKeys on a path from the root, at most: what is compiled grows with the square of it, and anybody may hang keys below his own. */
const deepest = 16;

/** A problem of a node's manifest. */
export function problemAt(node: TreeNode, path: string, message: string): Problem {
  const { file: where, line } = node.origin ?? { file: node.key, line: 1 };
  return { where, line, path, message: `VirtualKey ${node.key} ${message}` };
}

/**
 * The path of every node that has a whole one. Unknown parents, cycles, paths that are too long and parents that do not take
 * children from a namespace are problems. A sub-agent key whose parent is gone is gone with it, silently.
 */
export function growTree(
  nodes: readonly TreeNode[],
  selects: Selects,
): { readonly paths: ReadonlyMap<KeyName, TreePath>; readonly problems: readonly Problem[] } {
  const byKey = new Map(nodes.map((node) => [node.key, node]));
  const paths = new Map<KeyName, TreePath>();
  const problems: Problem[] = [];
  for (const node of nodes) {
    const problem = node.origin && parentProblem(node, byKey, selects);
    if (problem) problems.push(problem);
    const path = climb(node, byKey);
    if (path !== null) paths.set(node.key, path);
  }
  return { paths, problems };
}

function parentProblem(node: TreeNode, byKey: ReadonlyMap<KeyName, TreeNode>, selects: Selects): Problem | null {
  const { parentRef } = node.spec;
  if (parentRef === undefined) return null;
  const parent = byKey.get(parentRef);
  if (parent?.origin === undefined) {
    const near = nearest(parentRef, [...byKey.keys()]);
    const advice = near === null ? 'create that VirtualKey or remove parentRef' : `did you mean ${near}?`;
    return problemAt(node, 'spec.parentRef', `names the parent ${parentRef}, which does not exist; ${advice}`);
  }
  const cycle = cycleFrom(node, byKey);
  if (cycle === 'deep') {
    return problemAt(node, 'spec.parentRef', `has more than ${deepest - 1} ancestors; name a parent nearer to the root`);
  }
  if (cycle !== null) {
    const told = cycle[0] !== node.key;
    return told ? null : problemAt(node, 'spec.parentRef', `is its own ancestor: ${cycle.join(' → ')}; cut one parentRef`);
  }
  const own = namespaceOf(node.key);
  const { children } = parent.spec;
  const taken = children === undefined ? namespaceOf(parentRef) === own : selects(children.namespaceSelector, own);
  if (taken) return null;
  return problemAt(
    node,
    'spec.parentRef',
    `may not name the parent ${parentRef}, which takes no children from namespace ${own}; set spec.children there, for example to ${selectorFor(own)}`,
  );
}

// The cycle that a walk up from this node ends in, once round from its first key by name, so that it is told once. No walk is longer
// than a path may be.
function cycleFrom(node: TreeNode, byKey: ReadonlyMap<KeyName, TreeNode>): readonly KeyName[] | 'deep' | null {
  const walked: KeyName[] = [];
  for (let at: TreeNode | undefined = node; at !== undefined; at = at.spec.parentRef && byKey.get(at.spec.parentRef)) {
    const start = walked.indexOf(at.key);
    if (start < 0) {
      if (walked.push(at.key) > deepest) return 'deep';
      continue;
    }
    const cycle = walked.slice(start);
    const first = cycle.indexOf([...cycle].sort()[0] ?? at.key);
    const turned = [...cycle.slice(first), ...cycle.slice(0, first)];
    return [...turned, ...turned.slice(0, 1)];
  }
  return null;
}

function climb(node: TreeNode, byKey: ReadonlyMap<KeyName, TreeNode>): TreePath | null {
  const path = new Set<TreeNode>();
  let declared = 0;
  for (let at: TreeNode | undefined = node; at !== undefined; ) {
    if (at.origin !== undefined) declared += 1;
    if (path.has(at) || declared > deepest) return null;
    path.add(at);
    const { parentRef }: VirtualKeySpec = at.spec;
    if (parentRef === undefined) return [...path].reverse();
    at = byKey.get(parentRef);
  }
  return null;
}
