import { defined } from '../../core/json.ts';
import type { PoolName } from '../../core/names.ts';
import type { PoolDocument } from '../../core/policy/documents.ts';
import type { Verdict } from '../provider/types.ts';
import { choose } from './affinity.ts';
import { applyLimit, createQuotaScope, probeMs, promisedAtMs, type QuotaScope, scopeStatus, usableAtMs } from './cooldowns.ts';
import { RetryBudget } from './retry-budget.ts';
import { Secret } from './secret.ts';

/** A credential for one attempt. */
export interface Picked {
  readonly kind: 'picked';
  readonly pool: PoolName;
  readonly credential: string;
  readonly quotaScope: string;
  readonly secret: Secret;
}

/** No credential can be used for this model now. */
export interface NoneLeft {
  readonly kind: 'none';
  /** The time from which the first one can be used again; absent: unknown. */
  readonly retryAtMs?: number;
  /** True if the provider rejected every credential, or there is none. */
  readonly unauthorized: boolean;
  /** The provider's last error body about the limit that ends first; JSON text. */
  readonly providerBody?: string;
}

/** A credential's value from manifests or the operator. Never logged. */
export interface CredentialValue {
  readonly pool: PoolName;
  readonly name: string;
  readonly value: string;
}

/** The state of one credential, for metrics and readiness. */
interface CredentialState {
  readonly pool: PoolName;
  readonly credential: string;
  readonly quotaScope: string;
  /** `cooling`: for at least one model. */
  readonly status: 'ready' | 'cooling' | 'disabled' | 'unauthorized';
  readonly untilMs?: number;
}

/** The credentials of all pools, with the limits that providers last reported for each. Pure except for the clock. */
export interface Pools {
  /** Replaces all pools and credentials. It keeps the limits of scopes that remain, and drops removed credentials at once. */
  update(pools: readonly PoolDocument[], credentials: readonly CredentialValue[]): void;
  /**
   * Picks the credential for an attempt at `model`. A session (`affinity`) stays in one quota scope while that can be used;
   * calls without a session rotate. `tried`: the quota scopes that limited earlier attempts of this call.
   */
  pick(pool: PoolName, model: string, affinity: string | undefined, tried: ReadonlySet<string>): Picked | NoneLeft;
  /** True if `pick` would find a credential. */
  hasUsable(pool: PoolName, model: string, tried: ReadonlySet<string>): boolean;
  /** Counts the first attempt of a call, which adds to the pool's retries. */
  noteCall(pool: PoolName): void;
  /** Takes one retry of the pool's budget, or of a part of it, for a further attempt of a call; false: none is left. */
  takeRetry(pool: PoolName, part?: number): boolean;
  /** Applies the verdict about an attempt, with the provider's body if it is JSON. `caller`, `misfit` and `overloaded` change nothing. */
  report(picked: Picked, model: string, failure: { readonly verdict: Verdict; readonly body?: string }): void;
  state(): readonly CredentialState[];
  /** How many retries each pool's budget has denied. */
  deniedRetries(): readonly { readonly pool: PoolName; readonly count: number }[];
}

interface Credential {
  readonly name: string;
  readonly scope: QuotaScope;
  /** Used to choose among scopes, and within a session's scope. */
  readonly hash: number;
  readonly secret: Secret;
  /** Not used until then, or until its value changes. A temporary authentication failure of a provider must not disable every credential for ever. */
  refusedUntilMs: number;
}

interface Pool {
  readonly name: PoolName;
  readonly credentials: readonly Credential[];
  readonly retries: RetryBudget;
  turn: number;
}

/** The characters that a header can carry. Any other value (an empty Secret, a whole file) cannot be sent. */
const sendable = /^[\x21-\x7e]+$/;

/** Makes an empty set of pools. `clock`: milliseconds since the epoch. */
export function createPools({ clock }: { readonly clock: () => number }): Pools {
  let pools = new Map<PoolName, Pool>();

  return {
    update(documents, credentials) {
      const values = new Map(credentials.map(({ pool, name, value }) => [`${pool}\0${name}`, value.trim()]));
      pools = new Map(documents.map((document) => [document.pool, rebuild(document, pools.get(document.pool), values)]));
    },

    pick(poolName, model, affinity, tried) {
      const pool = pools.get(poolName);
      if (pool === undefined) return { kind: 'none', unauthorized: true };
      const nowMs = clock();
      const search = { model, tried, nowMs };
      const isAll = pool.credentials.every((credential) => isUsable(credential, search));
      const usable = isAll ? pool.credentials : pool.credentials.filter((credential) => isUsable(credential, search));
      const picked = affinity === undefined ? usable[pool.turn++ % usable.length] : choose(usable, affinity);
      if (picked === undefined || picked === null) return noneLeft(pool, model, nowMs);
      return { kind: 'picked', pool: poolName, credential: picked.name, quotaScope: picked.scope.name, secret: picked.secret };
    },

    hasUsable(poolName, model, tried) {
      const nowMs = clock();
      return pools.get(poolName)?.credentials.some((credential) => isUsable(credential, { model, tried, nowMs })) === true;
    },

    noteCall: (pool) => pools.get(pool)?.retries.noteCall(clock()),

    takeRetry: (pool, part) => pools.get(pool)?.retries.take(clock(), part) === true,

    report(picked, model, { verdict, body }) {
      if (verdict.kind === 'caller' || verdict.kind === 'overloaded' || verdict.kind === 'misfit') return;
      const credential = pools.get(picked.pool)?.credentials.find(({ name }) => name === picked.credential);
      if (verdict.kind === 'unauthorized') {
        // If the value was replaced during the attempt, the provider rejected the previous value, not this one.
        if (credential?.secret === picked.secret) credential.refusedUntilMs = clock() + probeMs;
      } else if (credential !== undefined) {
        applyLimit(credential.scope, verdict, { model, nowMs: clock() });
        credential.scope.body = body;
      }
    },

    state() {
      const nowMs = clock();
      return [...pools.values()].flatMap((pool) =>
        pool.credentials.map(({ name, scope, refusedUntilMs }) => ({
          pool: pool.name,
          credential: name,
          quotaScope: scope.name,
          ...(refusedUntilMs > nowMs ? { status: 'unauthorized' as const, untilMs: refusedUntilMs } : scopeStatus(scope, nowMs)),
        })),
      );
    },

    deniedRetries: () => [...pools.values()].map(({ name, retries }) => ({ pool: name, count: retries.denied })),
  };
}

interface Search {
  readonly model: string;
  readonly tried: ReadonlySet<string>;
  readonly nowMs: number;
}

function isUsable({ refusedUntilMs, scope }: Credential, { model, tried, nowMs }: Search): boolean {
  return refusedUntilMs <= nowMs && usableAtMs(scope, model) <= nowMs && !tried.has(scope.name);
}

function rebuild(document: PoolDocument, previous: Pool | undefined, values: ReadonlyMap<string, string>): Pool {
  const scopes = new Map(previous?.credentials.map(({ scope }) => [scope.name, scope]));
  const credentials: Credential[] = [];
  for (const { name, quotaScope } of document.keys) {
    const value = values.get(`${document.pool}\0${name}`);
    if (value === undefined) continue;
    const scope = scopes.get(quotaScope) ?? createQuotaScope(quotaScope);
    scopes.set(quotaScope, scope);
    const old = previous?.credentials.find((credential) => credential.name === name);
    const same = old?.secret.holds(value) === true;
    credentials.push({
      name,
      scope,
      hash: scope.hash,
      secret: same ? old.secret : new Secret(value),
      refusedUntilMs: same ? old.refusedUntilMs : sendable.test(value) ? 0 : Number.POSITIVE_INFINITY,
    });
  }
  return { name: document.pool, credentials, retries: previous?.retries ?? new RetryBudget(), turn: previous?.turn ?? 0 };
}

function noneLeft(pool: Pool, model: string, nowMs: number): NoneLeft {
  const accepted = pool.credentials.filter(({ refusedUntilMs }) => refusedUntilMs <= nowMs).map(({ scope }) => scope);
  const promises = accepted.map((scope) => promisedAtMs(scope, model)).filter((atMs) => atMs !== null);
  const retryAtMs = promises.length === 0 ? undefined : Math.min(...promises);
  const body = (accepted.find((scope) => promisedAtMs(scope, model) === retryAtMs) ?? accepted[0])?.body;
  return { kind: 'none', unauthorized: accepted.length === 0, ...defined({ retryAtMs, providerBody: body }) };
}
