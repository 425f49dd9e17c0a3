import { isUtf8 } from 'node:buffer';
import type { PoolKey, ProviderPool } from '../../../core/manifest/types.ts';
import type { PoolName } from '../../../core/names.ts';
import type { KubeObject } from '../../kube/types.ts';
import { readItems, type VaultProblem } from '../../vault/ring.ts';
import type { Credential } from '../../vault/vault.ts';
import { managedLabel, managedValue } from '../names.ts';
import type { Opened } from '../policy/declared.ts';
import type { Verdict } from '../policy/fallback.ts';
import { tell } from '../reasons.ts';
import type { Stated } from '../virtual-key/status.ts';

/** How one credential stands: `Stale` serves the last good value, `Missing` and `Invalid` serve nothing. */
export interface CredentialState {
  readonly name: string;
  readonly state: 'Ready' | 'Stale' | 'Missing' | 'Invalid';
  /** Carries no value, and nothing of a Secret but the names that the pool itself gives. */
  readonly message?: string;
}

/** What a pool's credentials come to. */
export interface PoolCredentials {
  /** To be in the vault; the values are secrets. */
  readonly wanted: readonly Credential[];
  readonly states: readonly CredentialState[];
  /** True where every value came from its source. */
  readonly isWhole: boolean;
}

/** Each credential from its source Secret, else as the vault last had it. `sources`: by Secret name; null where it is not there. */
export function gatherCredentials(pool: ProviderPool, sources: ReadonlyMap<string, KubeObject | null>, last: Opened): PoolCredentials {
  const found = pool.keys.map((key) => ({ key, ...credentialIn(key, sources.get(key.secretRef.name) ?? null) }));
  const wanted = found.flatMap(({ key: { name }, value }) => {
    const usable = value ?? last.get(name);
    return usable === undefined ? [] : [{ name, value: usable }];
  });
  const states = found.map(({ key: { name }, value, state, message }): CredentialState => {
    if (value !== undefined) return { name, state: 'Ready' };
    if (!last.has(name)) return { name, state, message };
    return { name, state: 'Stale', message: `${message}; the last good value goes on serving` };
  });
  return { wanted, states, isWhole: found.every(({ value }) => value !== undefined) };
}

type Found =
  | { readonly value: string; readonly state: 'Ready'; readonly message: '' }
  | { readonly value?: undefined; readonly state: 'Missing' | 'Invalid'; readonly message: string };

function credentialIn({ secretRef }: PoolKey, secret: KubeObject | null): Found {
  const { name, key: item } = secretRef;
  if (secret === null) return { state: 'Missing', message: `Secret ${name} does not exist; create it in the namespace of the pool` };
  if (isKept(secret)) {
    const message = `Secret ${name} is KeyForge's own, or a ServiceAccount's: what it holds is sent to no provider; name another Secret`;
    return { state: 'Invalid', message };
  }
  const bytes = readItems(secret['data'] ?? {})?.get(item);
  if (bytes === undefined) return { state: 'Missing', message: `Secret ${name} has no item ${item}; add it` };
  // Surrounding white space is dropped: files and shells add newlines.
  const value = isUtf8(bytes) ? bytes.toString().trim() : '';
  if (/^[!-~]+$/.test(value)) return { value, state: 'Ready', message: '' };
  const fault = bytes.length === 0 ? 'is empty' : 'cannot stand in an HTTP header';
  return { state: 'Invalid', message: `item ${item} of Secret ${name} ${fault}; put the credential alone there` };
}

/** Who may write a pool chooses its endpoint as well, and shall not thereby read what opens the operator or the API server. */
function isKept(secret: KubeObject): boolean {
  return secret.metadata.labels?.[managedLabel] === managedValue || secret['type'] === 'kubernetes.io/service-account-token';
}

export interface PoolFacts {
  readonly pool: PoolName;
  readonly verdict: Verdict | undefined;
  readonly states: readonly CredentialState[];
  /** Of the vault Secret or the root keys. */
  readonly problem: VaultProblem | null;
  /** Why the API server would not have one of these Secrets written; null: it did. */
  readonly refused: string | null;
}

/** The Ready condition of a pool. */
export function poolReady({ pool, verdict, states, problem, refused }: PoolFacts): Stated {
  const type = 'Ready';
  const [fault] = verdict?.problems ?? [];
  const bad = states.filter(({ state }) => state !== 'Ready');
  const [worst] = bad;
  // A fault without a path is the want of credentials, of which the states say more; or of an adoption that is about to come.
  if (fault?.path !== undefined) {
    const after = verdict?.serving === 'lastGood' ? '. Until then its last good version is served' : '';
    const told = tell(fault);
    return { type, status: 'False', reason: told.reason, message: `${told.message}${after}` };
  }
  if (refused !== null) return { type, status: 'False', reason: 'SecretRefused', message: refused };
  const wanting = bad.map(({ name, message }) => `key ${name}: ${message}`);
  // A value that is only in a vault that cannot be opened is not to be called missing without a word of that.
  if (problem !== null) return { type, status: 'False', reason: problem.reason, message: [problem.message, ...wanting].join('. ') };
  if (worst !== undefined) return { type, status: 'False', reason: `Credential${worst.state}`, message: wanting.join('. ') };
  if (verdict?.serving !== 'declared')
    return { type, status: 'Unknown', reason: 'Pending', message: `ProviderPool ${pool} is about to be served` };
  return { type, status: 'True', reason: 'Served', message: 'all its credentials are sealed and served' };
}
