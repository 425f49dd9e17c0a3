import { defined } from '../../core/json.ts';
import type { PoolName } from '../../core/names.ts';
import type { PoolDocument } from '../../core/policy/documents.ts';
import type { Verdict } from '../provider/types.ts';
import { choose } from './affinity.ts';
import { applyLimit, createQuotaScope, probeMs, promisedAtMs, type QuotaScope, scopeStatus, usableAtMs } from './cooldowns.ts';
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
  /** From when on the first one can be used again; absent: unknown. */
  readonly retryAtMs?: number;
  /** True where the provider refused every credential, or there is none. */
  readonly unauthorized: boolean;
  /** The provider's own last error body on the limit that ends first; JSON text. */
  readonly providerBody?: string;
}

/** A credential's value as it arrives from manifests or the operator. Never logged. */
export interface CredentialValue {
  readonly pool: PoolName;
  readonly name: string;
  readonly value: string;
}

/** One credential as metrics and readiness see it. */
interface CredentialState {
  readonly pool: PoolName;
  readonly credential: string;
  readonly quotaScope: string;
  /** `cooling`: for at least one model. */
  readonly status: 'ready' | 'cooling' | 'disabled' | 'unauthorized';
  readonly untilMs?: number;
}

/** The credentials of all pools, with the limits that providers last reported for each. Pure but for the clock. */
export interface Pools {
  /** Replaces all pools and credentials. Limits of scopes that remain are kept; removed credentials are dropped at once. */
  update(pools: readonly PoolDocument[], credentials: readonly CredentialValue[]): void;
  /**
   * The credential for an attempt at `model`. A session (`affinity`) stays in one quota scope while that can be used; calls without
   * one rotate. `tried`: the quota scopes that limited earlier attempts of this call.
   */
  pick(pool: PoolName, model: string, affinity: string | undefined, tried: ReadonlySet<string>): Picked | NoneLeft;
  /** Takes a verdict on an attempt, with the provider's body where it is JSON. `caller` and `overloaded` change nothing. */
  report(picked: Picked, model: string, failure: { readonly verdict: Verdict; readonly body?: string }): void;
  state(): readonly CredentialState[];
}

interface Credential {
  readonly name: string;
  readonly scope: QuotaScope;
  /** Chooses within a session's scope as well as among scopes. */
  readonly hash: number;
  readonly secret: Secret;
  /** Not used until then, or until its value changes: a provider whose authentication fails for a while must not cost us every credential. */
  refusedUntilMs: number;
}

interface Pool {
  readonly name: PoolName;
  readonly credentials: readonly Credential[];
  turn: number;
}

/** What a header can carry. Anything else (an empty Secret, a whole file) could never be sent. */
const sendable = /^[\x21-\x7e]+$/;

/** Pools without credentials yet. `clock`: milliseconds since the epoch. */
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
      const usable = pool.credentials.filter(
        ({ refusedUntilMs, scope }) => refusedUntilMs <= nowMs && usableAtMs(scope, model) <= nowMs && !tried.has(scope.name),
      );
      const picked = affinity === undefined ? usable[pool.turn++ % usable.length] : choose(usable, affinity);
      if (picked === undefined || picked === null) return noneLeft(pool, model, nowMs);
      return { kind: 'picked', pool: poolName, credential: picked.name, quotaScope: picked.scope.name, secret: picked.secret };
    },

    report(picked, model, { verdict, body }) {
      if (verdict.kind === 'caller' || verdict.kind === 'overloaded') return;
      const credential = pools.get(picked.pool)?.credentials.find(({ name }) => name === picked.credential);
      if (verdict.kind === 'unauthorized') {
        // A value that was replaced while its attempt was under way is not the one that was refused.
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
  };
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
  return { name: document.pool, credentials, turn: previous?.turn ?? 0 };
}

function noneLeft(pool: Pool, model: string, nowMs: number): NoneLeft {
  const accepted = pool.credentials.filter(({ refusedUntilMs }) => refusedUntilMs <= nowMs).map(({ scope }) => scope);
  const promises = accepted.map((scope) => promisedAtMs(scope, model)).filter((atMs) => atMs !== null);
  const retryAtMs = promises.length === 0 ? undefined : Math.min(...promises);
  const body = (accepted.find((scope) => promisedAtMs(scope, model) === retryAtMs) ?? accepted[0])?.body;
  return { kind: 'none', unauthorized: accepted.length === 0, ...defined({ retryAtMs, providerBody: body }) };
}
