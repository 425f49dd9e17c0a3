import { hash } from 'node:crypto';
import { isRefusal, type Refusal, refuse } from '../../core/errors.ts';
import { defined } from '../../core/json.ts';
import type { VirtualKeySpec } from '../../core/manifest/types.ts';
import { minOf } from '../../core/money.ts';
import { childKeyName, type KeyName, partsOf } from '../../core/names.ts';
import type { KeyDocument } from '../../core/policy/documents.ts';
import { rulesOf } from '../../core/policy/rules.ts';
import type { ChildSpec } from '../../core/protocol/children.ts';
import type { RunScope } from '../sessions/scope.ts';
import type { ChildRow } from '../store/types.ts';
import type { Random } from '../vault/aead.ts';

/** The facts that decide whether an agent may mint a sub-agent key. */
interface MintCase {
  readonly parent: KeyDocument;
  readonly spec: ChildSpec;
  /** Documents of every key, by name. */
  readonly documents: ReadonlyMap<KeyName, KeyDocument>;
  /** Every name in use, names of manifests included. */
  readonly taken: ReadonlySet<KeyName>;
  /** Living sub-agent keys. */
  readonly children: readonly ChildRow[];
  readonly nowMs: number;
  readonly random: Random;
}

/**
 * Makes the row of a new sub-agent key, or refuses it. If a list names more than the parent may use, it refuses, so that the
 * agent knows. Numbers larger than the parent's have no effect, as for every key of the tree.
 */
export function newChild(mint: MintCase): ChildRow | Refusal {
  const refusal = delegationRefusal(mint) ?? listRefusal(mint);
  if (refusal !== null) return refusal;
  const key = nameOf(mint);
  if (isRefusal(key)) return key;
  const { parent, spec, nowMs } = mint;
  const expiresAtMs = minOf([parent.expiresAtMs, spec.ttlMs === undefined ? undefined : nowMs + spec.ttlMs]);
  return { key, parent: parent.key, spec, createdAtMs: nowMs, ...defined({ expiresAtMs }) };
}

function delegationRefusal({ parent, documents, children }: MintCase): Refusal | null {
  if (parent.delegation === undefined) {
    return refuse('endpoint_denied', `key ${parent.key} may not mint keys: its spec.delegation is not set, or its maxDepth is reached`);
  }
  for (const holder of [...parent.path, parent.key]) {
    const max = documents.get(holder)?.delegation?.maxChildren;
    if (max !== undefined && descendants(children, holder).filter(({ run }) => run === undefined).length >= max) {
      return refuse('quota_exhausted', `key ${holder} already has ${max} sub-agent keys, its delegation.maxChildren; delete one first`);
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
  if (isRunName(own)) return refuse('invalid_request', `name ${own} is reserved for the runs of Pods and Jobs; choose another`);
  return taken.has(key) ? refuse('invalid_request', `key ${key} exists; choose another name or delete it first`) : key;
}

/** Sub-agent keys below a key, at any depth. */
function descendants(children: readonly ChildRow[], of: KeyName): readonly ChildRow[] {
  const own = children.filter(({ parent }) => parent === of);
  return [...own, ...own.flatMap(({ key }) => descendants(children, key))];
}

/** The rows of living keys: before their end, below a declared key, and with a name that no manifest uses. */
export function livingChildren(rows: readonly ChildRow[], declared: ReadonlySet<KeyName>, nowMs: number): readonly ChildRow[] {
  const living = rows.filter(
    ({ key, expiresAtMs, run }) => !declared.has(key) && (expiresAtMs === undefined || run !== undefined || expiresAtMs > nowMs),
  );
  const roots = new Set(living.map(({ parent }) => parent).filter((parent) => declared.has(parent)));
  return [...roots].flatMap((root) => descendants(living, root));
}

type RunSpec = NonNullable<VirtualKeySpec['run']>;

/** The Pod or Job of a run. By default it is the Job if one owns the Pod, otherwise the Pod. */
export function ownerOf(
  { scope }: RunSpec,
  { podUid, podName, jobUid, jobName }: RunScope,
): { readonly uid: string; readonly name: string } {
  const isJob = scope !== 'Pod' && jobUid !== undefined;
  return isJob ? { uid: jobUid, name: `Job ${jobName ?? jobUid}` } : { uid: podUid, name: `Pod ${podName}` };
}

/** The last part of the name of a run's key. */
export function runIdOf(uid: string): string {
  return `run-${hash('sha256', uid).slice(0, 16)}`;
}

/** True for a name that is reserved for runs: a sub-agent key of that name would pass for the run, without its cap. */
function isRunName(name: string): boolean {
  return /^run-[0-9a-f]{16}$/.test(name);
}

/** The name of a run's key: the same for every proxy of one run, and after a restart, so that its account continues. */
export function runKey(key: KeyName, spec: RunSpec, run: RunScope): KeyName {
  return childKeyName(key, runIdOf(ownerOf(spec, run).uid));
}
