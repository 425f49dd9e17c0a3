import type { Logger } from 'pino';
import { defined } from '../../core/json.ts';
import { keyObject, type RecordEvent } from '../evidence/own-stream.ts';
import type { Scope, SidecarScope } from '../sessions/scope.ts';
import type { ChildRow } from '../store/types.ts';
import { ownerOf, runKey } from './children.ts';
import type { LiveState } from './live-state.ts';
import type { Registry } from './registry.ts';

/** What runs need. */
interface RunsDeps {
  readonly registry: Registry;
  readonly record: RecordEvent;
  readonly logger: Logger;
}

const minGatherMs = 5;
const retryMs = 1_000;

/**
 * Makes the keys of runs, many at once, because each change of the live state goes to every proxy.
 * If it cannot write them, probably because a disk is full, it retries each second.
 */
export class Runs {
  readonly #deps: RunsDeps;
  /** Scopes that wait for a key, by the proxy's instance. */
  readonly #waiting = new Map<string, SidecarScope>();
  #timer: NodeJS.Timeout | undefined;
  /** Duration of the last change. The next one waits as long, so that many new proxies at once leave time for calls. */
  #tookMs = 0;

  constructor(deps: RunsDeps) {
    this.#deps = deps;
  }

  /** True if this proxy's run has no key yet. `Runs` then makes it soon, and the live state changes. */
  awaits(scope: Scope): boolean {
    const live = this.#deps.registry.live();
    if (live === null || scope.kind !== 'sidecar' || missingRun(live, scope) === null) return false;
    this.#waiting.set(scope.instance, scope);
    this.#schedule(Math.max(minGatherMs, this.#tookMs));
    return true;
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#waiting.clear();
  }

  #schedule(inMs: number): void {
    this.#timer ??= setTimeout(() => this.#makeAll(), inMs).unref();
  }

  #makeAll(): void {
    const scopes = [...this.#waiting.values()];
    const startMs = performance.now();
    this.#timer = undefined;
    this.#waiting.clear();
    try {
      this.#make(scopes);
      this.#tookMs = performance.now() - startMs;
    } catch (error) {
      this.#deps.logger.error({ err: error }, 'the operator cannot write the keys of runs; it retries in a second');
      for (const scope of scopes) this.#waiting.set(scope.instance, scope);
      this.#schedule(retryMs);
    }
  }

  #make(scopes: readonly SidecarScope[]): void {
    const { registry, record } = this.#deps;
    registry.change((tx, live) => {
      const rows = new Map(scopes.flatMap((scope) => missingRun(live, scope) ?? []).map((row) => [row.key, row]));
      for (const row of rows.values()) {
        tx.keys.putChild(row);
        const detail = { by: 'run', parent: row.parent, run: row.run ?? '' };
        record(tx, { type: 'key_created', object: keyObject(row.key), detail });
      }
      return { changed: rows.size > 0, value: null };
    });
  }
}

/**
 * Makes the row of a sidecar's run; null if there is nothing to do. A run uses its parent's budget as it spends: its own cap
 * sets nothing aside, so that many runs may share a budget smaller than the sum of their caps.
 */
function missingRun(live: LiveState, scope: SidecarScope): ChildRow | null {
  const spec = live.specs.get(scope.key);
  if (spec?.run === undefined || !live.documents.has(scope.key)) return null;
  const key = runKey(scope.key, spec.run, scope.run);
  // If a manifest has that name, there is no run.
  if (live.documents.has(key) || live.policy.manifests.virtualKeys.some(({ name }) => name === key)) return null;
  const { usdNano, ttlMs } = spec.run;
  return {
    key,
    parent: scope.key,
    spec: defined({ usdNano }),
    createdAtMs: scope.podCreatedAtMs,
    ...defined({ expiresAtMs: ttlMs === undefined ? undefined : scope.podCreatedAtMs + ttlMs }),
    run: ownerOf(spec.run, scope.run).name,
  };
}
