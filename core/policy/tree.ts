import { nearest } from '../manifest/nearest.ts';
import type { Origin, VirtualKeySpec } from '../manifest/types.ts';
import type { NanoUsd } from '../money.ts';
import { type KeyName, namespaceOf, type ObjectRef } from '../names.ts';
import type { Problem } from '../problem.ts';
import type { Selects } from './selector.ts';

/** One VirtualKey or sub-agent key in the tree of authority. */
export interface TreeNode {
  readonly key: KeyName;
  /** `declared`: of a manifest. `minted`: by an agent, for a sub-agent. `run`: the key of one Pod or Job. */
  readonly kind: 'declared' | 'minted' | 'run';
  /** The place of a manifest from a file. */
  readonly origin?: Origin;
  readonly spec: VirtualKeySpec;
  /** Start of its ttl, milliseconds since the epoch; absent if not yet known. */
  readonly createdAtMs?: number;
  /** On a sub-agent key with a budget of its own. */
  readonly escrowNano?: NanoUsd;
  /** Set on the key of a run: its Pod or Job. */
  readonly run?: string;
}

/** From the root to a node, both included. */
export type TreePath = readonly TreeNode[];

/** Maximum of VirtualKeys on a path. Compilation grows with its square, and every owner of a key may create keys below it. */
const maxDepth = 16;

/** The subject of a problem with a field of a node's manifest. */
export function fieldOf(
  { key, origin }: TreeNode,
  path: string,
): { readonly object: ObjectRef; readonly path: string; readonly source?: Origin } {
  return { object: { kind: 'VirtualKey', name: key }, path, ...(origin && { source: origin }) };
}

/**
 * The path of every node that has a complete one. Unknown parents, cycles, paths that are too long, and parents that refuse
 * children from a namespace are problems. A sub-agent key without its parent disappears without a problem.
 */
export function growTree(
  nodes: readonly TreeNode[],
  selects: Selects,
): { readonly paths: ReadonlyMap<KeyName, TreePath>; readonly problems: readonly Problem[] } {
  const byKey = new Map(nodes.map((node) => [node.key, node]));
  const paths = new Map<KeyName, TreePath>();
  const problems: Problem[] = [];
  for (const node of nodes) {
    const problem = node.kind === 'declared' ? parentProblem(node, byKey, selects) : null;
    if (problem !== null) problems.push(problem);
    const path = climb(node, byKey);
    if (path !== null) paths.set(node.key, path);
  }
  return { paths, problems };
}

function parentProblem(node: TreeNode, byKey: ReadonlyMap<KeyName, TreeNode>, selects: Selects): Problem | null {
  const { parentRef } = node.spec;
  if (parentRef === undefined) return null;
  const parent = byKey.get(parentRef);
  if (parent?.kind !== 'declared') {
    const near = nearest(parentRef, [...byKey.keys()]);
    return { code: 'parent_not_found', ...fieldOf(node, 'spec.parentRef'), parent: parentRef, nearest: near };
  }
  const cycle = cycleFrom(node, byKey);
  if (cycle === 'deep') return { code: 'too_deep', ...fieldOf(node, 'spec.parentRef'), maxAncestors: maxDepth - 1 };
  if (cycle !== null) return cycle[0] === node.key ? { code: 'cycle', ...fieldOf(node, 'spec.parentRef'), keys: cycle } : null;
  const namespace = namespaceOf(node.key);
  const { children } = parent.spec;
  const isTaken = children === undefined ? namespaceOf(parentRef) === namespace : selects(children.namespaceSelector, namespace);
  return isTaken ? null : { code: 'parent_refuses_namespace', ...fieldOf(node, 'spec.parentRef'), parent: parentRef, namespace };
}

// The cycle that a walk up from this node reaches, rotated to begin with its first key by name: that key alone reports it.
// No walk is longer than a path may be.
function cycleFrom(node: TreeNode, byKey: ReadonlyMap<KeyName, TreeNode>): readonly KeyName[] | 'deep' | null {
  const walked: KeyName[] = [];
  for (let at: TreeNode | undefined = node; at !== undefined; at = at.spec.parentRef && byKey.get(at.spec.parentRef)) {
    const start = walked.indexOf(at.key);
    if (start < 0) {
      if (walked.push(at.key) > maxDepth) return 'deep';
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
    if (at.kind === 'declared') declared += 1;
    if (path.has(at) || declared > maxDepth) return null;
    path.add(at);
    const { parentRef }: VirtualKeySpec = at.spec;
    if (parentRef === undefined) return [...path].reverse();
    at = byKey.get(parentRef);
  }
  return null;
}
