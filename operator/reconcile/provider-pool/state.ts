import { isUtf8 } from 'node:buffer';
import type { PoolKey, ProviderPool } from '../../../core/manifest/types.ts';
import type { PoolName } from '../../../core/names.ts';
import { isPoolFault } from '../../../core/problem.ts';
import type { KubeObject } from '../../kube/types.ts';
import { managedLabel, managedValue } from '../../labels.ts';
import { readItems, type VaultProblem } from '../../vault/ring.ts';
import type { Credential } from '../../vault/vault.ts';
import { type ConditionPolicy, firstOf, type NewCondition } from '../conditions.ts';
import type { Opened } from '../policy/declared.ts';
import type { Verdict } from '../policy/fallback.ts';
import { explain } from '../reasons.ts';

/** The state of one credential. `Stale`: the last good value is in use; `Missing` and `Invalid`: there is none. */
export interface CredentialState {
  readonly name: string;
  readonly state: 'Ready' | 'Stale' | 'Missing' | 'Invalid';
  /** Contains no value, and of a Secret only the names that the pool itself gives. */
  readonly message?: string;
}

/** The credentials of a pool. */
export interface PoolCredentials {
  /** The wanted content of the vault; the values are secrets. */
  readonly wanted: readonly Credential[];
  readonly states: readonly CredentialState[];
  /** True if every value is from its source. */
  readonly isWhole: boolean;
}

/** Takes each credential from its source Secret, otherwise from the vault. `sources`: by Secret name; null if there is none. */
export function chooseCredentials(pool: ProviderPool, sources: ReadonlyMap<string, KubeObject | null>, last: Opened): PoolCredentials {
  const found = pool.keys.map((key) => ({ key, ...credentialIn(key, sources.get(key.secretRef.name) ?? null) }));
  const wanted = found.flatMap(({ key: { name }, value }) => {
    const usable = value ?? last.get(name);
    return usable === undefined ? [] : [{ name, value: usable }];
  });
  const states = found.map(({ key: { name }, value, state, message }): CredentialState => {
    if (value !== undefined) return { name, state: 'Ready' };
    if (!last.has(name)) return { name, state, message };
    return { name, state: 'Stale', message: `${message}; the last good value stays in use` };
  });
  return { wanted, states, isWhole: found.every(({ value }) => value !== undefined) };
}

type Found =
  | { readonly value: string; readonly state: 'Ready'; readonly message: '' }
  | { readonly value?: undefined; readonly state: 'Missing' | 'Invalid'; readonly message: string };

function credentialIn({ secretRef }: PoolKey, secret: KubeObject | null): Found {
  const { name, key: item } = secretRef;
  if (secret === null) return { state: 'Missing', message: `Secret ${name} does not exist; create it in the namespace of the pool` };
  if (isInternal(secret)) {
    const message = `Secret ${name} belongs to KeyForge or to a ServiceAccount, so KeyForge sends no provider its content; name another Secret`;
    return { state: 'Invalid', message };
  }
  const bytes = readItems(secret['data'] ?? {})?.get(item);
  if (bytes === undefined) return { state: 'Missing', message: `Secret ${name} has no item ${item}; add it` };
  // Drop newlines that files and shells add.
  const value = isUtf8(bytes) ? bytes.toString().trim() : '';
  if (/^[!-~]+$/.test(value)) return { value, state: 'Ready', message: '' };
  const fault = bytes.length === 0 ? 'is empty' : 'is not valid in an HTTP header';
  return { state: 'Invalid', message: `item ${item} of Secret ${name} ${fault}; put only the credential there` };
}

/** True for Secrets that open the operator or the API server. The author of a pool chooses its endpoint, and could read them that way. */
function isInternal(secret: KubeObject): boolean {
  return secret.metadata.labels?.[managedLabel] === managedValue || secret['type'] === 'kubernetes.io/service-account-token';
}

/** The facts from which the Ready condition of a pool follows. */
interface PoolFacts {
  readonly pool: PoolName;
  readonly verdict: Verdict | undefined;
  readonly states: readonly CredentialState[];
  /** The problem of the vault Secret or the key ring. */
  readonly problem: VaultProblem | null;
  /** Why the API server refused to write the vault Secret; null: it did not. */
  readonly refused: string | null;
}

/** The Ready condition of a pool. */
export function poolReady(facts: PoolFacts): NewCondition {
  return { type: 'Ready', ...(firstOf(readyChain, facts) ?? served) };
}

/** Reports problems of the manifest. It skips missing credentials: their states say more, or the next adoption fixes them. */
const invalidSpec: ConditionPolicy<PoolFacts> = ({ verdict }) => {
  const [fault] = verdict?.problems ?? [];
  if (fault === undefined || isPoolFault(fault)) return null;
  const { reason, message } = explain(fault);
  const meanwhile = verdict?.serving === 'lastGood' ? '. Until then its last good version stays in force' : '';
  return { status: 'False', reason, message: `${message}${meanwhile}` };
};

const secretRefused: ConditionPolicy<PoolFacts> = ({ refused }) =>
  refused === null ? null : { status: 'False', reason: 'SecretRefused', message: refused };

/** Reports a closed vault together with missing credentials, because the vault may hold their values. */
const vaultClosed: ConditionPolicy<PoolFacts> = ({ problem, states }) =>
  problem === null ? null : { status: 'False', reason: problem.reason, message: [problem.message, ...faultsOf(states)].join('. ') };

const credentialNotReady: ConditionPolicy<PoolFacts> = ({ states }) => {
  const first = states.find(({ state }) => state !== 'Ready');
  return first === undefined ? null : { status: 'False', reason: `Credential${first.state}`, message: faultsOf(states).join('. ') };
};

const pending: ConditionPolicy<PoolFacts> = ({ pool, verdict }) =>
  verdict?.serving === 'declared'
    ? null
    : { status: 'Unknown', reason: 'Pending', message: `the operator will serve ProviderPool ${pool} at its next adoption` };

/** Ready, by the first policy that applies. Problems that people must fix are before states that the operator resolves. */
const readyChain: readonly ConditionPolicy<PoolFacts>[] = [invalidSpec, secretRefused, vaultClosed, credentialNotReady, pending];

const served = { status: 'True', reason: 'Served', message: 'all its credentials are sealed and in use' } as const;

function faultsOf(states: readonly CredentialState[]): readonly string[] {
  return states.filter(({ state }) => state !== 'Ready').map(({ name, message }) => `key ${name}: ${message}`);
}
