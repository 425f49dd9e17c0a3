import type { Logger } from 'pino';
import { defined } from '../../core/json.ts';
import { keyObject, type RecordEvent } from '../evidence/own-stream.ts';
import type { Scope, SidecarScope } from '../sessions/scope.ts';
import type { ChildRow } from '../store/types.ts';
import { ownerOf, runKey } from './children.ts';
import type { LiveState } from './live-state.ts';
import type { Registry } from './registry.ts';

/** What runs are made over. */
interface RunsDeps {
  readonly registry: Registry;
  readonly record: RecordEvent;
  readonly logger: Logger;
}

const minGatherMs = 5;
const retryMs = 1_000;

/**
 * Makes the keys of runs, many at once, since each change of the live state goes to every proxy.
 * Retries each second where it cannot write them, most likely since a disk is full.
 */
export class Runs {
  readonly #deps: RunsDeps;
  /** By the proxy's instance. */
  readonly #waiting = new Map<string, SidecarScope>();
  #timer: NodeJS.Timeout | undefined;
  /** How long the last change took: the next one gathers for as long, so that many new proxies at once leave time for calls. */
  #tookMs = 0;

  constructor(deps: RunsDeps) {
    this.#deps = deps;
  }

  /** True where this proxy's run has no key yet: `Runs` makes it in a moment, and a change of the live state follows. */
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
      this.#deps.logger.error({ err: error }, 'the keys of runs could not be written; retrying in a second');
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
 * The row of a sidecar's run where it has none yet; null where there is nothing to do. A run draws on its parent's budget
 * as it spends: its own cap sets nothing aside, so that many runs may share a budget smaller than the sum of their caps.
 */
function missingRun(live: LiveState, scope: SidecarScope): ChildRow | null {
  const spec = live.specs.get(scope.key);
  if (spec?.run === undefined || !live.documents.has(scope.key)) return null;
  const key = runKey(scope.key, spec.run, scope.run);
  // A manifest may bear that name: then there is no run.
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
