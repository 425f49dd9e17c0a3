import { isRefusal, type Refusal, refuse } from '../../core/errors.ts';
import { childKeyName, type KeyName, partsOf } from '../../core/names.ts';
import type { KeyDocument } from '../../core/policy/documents.ts';
import { rulesOf } from '../../core/policy/rules.ts';
import type { ChildSpec } from '../../core/protocol/children.ts';
import type { ChildRow } from '../store/types.ts';
import type { Random } from '../vault/aead.ts';
import { isRunName } from './run-name.ts';

/** What decides whether a sub-agent key may be minted. */
export interface MintCase {
  readonly parent: KeyDocument;
  readonly spec: ChildSpec;
  /** Documents of every key, by name. */
  readonly documents: ReadonlyMap<KeyName, KeyDocument>;
  /** Every name that is taken, by manifests too. */
  readonly taken: ReadonlySet<KeyName>;
  /** Living sub-agent keys. */
  readonly children: readonly ChildRow[];
  readonly nowMs: number;
  readonly random: Random;
}

/**
 * The row of a new sub-agent key, or why there can be none. Lists that name more than the parent may are refused, so
 * that the agent learns of it; numbers larger than the parent's have no effect, as in every key of the tree.
 */
export function newChild(mint: MintCase): ChildRow | Refusal {
  const refusal = delegationRefusal(mint) ?? listRefusal(mint);
  if (refusal !== null) return refusal;
  const key = nameOf(mint);
  if (isRefusal(key)) return key;
  const { parent, spec, nowMs } = mint;
  const ends = [parent.expiresAtMs, spec.ttlMs === undefined ? undefined : nowMs + spec.ttlMs].filter((end) => end !== undefined);
  return {
    key,
    parent: parent.key,
    spec,
    createdAtMs: nowMs,
    ...(ends.length > 0 && { expiresAtMs: Math.min(...ends) }),
  };
}

function delegationRefusal({ parent, documents, children }: MintCase): Refusal | null {
  if (parent.delegation === undefined) {
    return refuse('endpoint_denied', `key ${parent.key} may not mint keys: its spec.delegation is not set, or its maxDepth is used up`);
  }
  for (const holder of [...parent.path, parent.key]) {
    const most = documents.get(holder)?.delegation?.maxChildren;
    if (most !== undefined && descendants(children, holder).filter(({ run }) => run === undefined).length >= most) {
      return refuse('quota_exhausted', `key ${holder} has its ${most} sub-agent keys (delegation.maxChildren); delete one first`);
    }
  }
  return null;
}

function listRefusal({ parent, spec }: MintCase): Refusal | null {
  const { endpoints } = parent;
  const barred = endpoints && spec.endpoints?.find((endpoint) => !endpoints.includes(endpoint));
  if (barred !== undefined) return refuse('endpoint_denied', `key ${parent.key} may not call ${barred}, so its sub-agents may not either`);
  const rules = rulesOf(parent);
  const isMine = (model: string) => model.includes('*') || model in parent.models.aliases || (rules.allows(model) && !rules.denies(model));
  const foreign = spec.models?.find((model) => !isMine(model));
  if (foreign !== undefined) return refuse('model_denied', `key ${parent.key} may not use ${foreign}, so its sub-agents may not either`);
  return null;
}

function nameOf({ parent, spec, taken, random }: MintCase): KeyName | Refusal {
  const own = spec.name ?? Buffer.from(random(6)).toString('hex');
  const key = childKeyName(parent.key, own);
  const { name } = partsOf(key);
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(own) || name.length > 253) {
    return refuse('invalid_request', 'name must be a DNS-1123 label: at most 63 lower-case letters, digits and "-"; or leave it out');
  }
  if (isRunName(own)) return refuse('invalid_request', `name ${own} is kept for the runs of Pods and Jobs; choose another`);
  return taken.has(key) ? refuse('invalid_request', `key ${key} exists; choose another name or delete it first`) : key;
}

/** Sub-agent keys below a key, at any depth. */
function descendants(children: readonly ChildRow[], of: KeyName): readonly ChildRow[] {
  const own = children.filter(({ parent }) => parent === of);
  return [...own, ...own.flatMap(({ key }) => descendants(children, key))];
}

/** The rows that still stand: not past their end, below a key that a manifest declares, and not shadowed by a manifest of that name. */
export function livingChildren(rows: readonly ChildRow[], declared: ReadonlySet<KeyName>, nowMs: number): readonly ChildRow[] {
  const standing = rows.filter(
    ({ key, expiresAtMs, run }) => !declared.has(key) && (expiresAtMs === undefined || run !== undefined || expiresAtMs > nowMs),
  );
  const roots = new Set(standing.map(({ parent }) => parent).filter((parent) => declared.has(parent)));
  return [...roots].flatMap((root) => descendants(standing, root));
}
