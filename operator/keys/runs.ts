import type { Logger } from 'pino';
import type { ChildSpec } from '../../core/protocol/children.ts';
import type { Scope } from '../sessions/scope.ts';
import type { ChildRow } from '../store/types.ts';
import type { RecordEvent } from './lives.ts';
import type { Live, Registry } from './registry.ts';
import { ownerOf, runKey } from './run-name.ts';

type SidecarScope = Extract<Scope, { kind: 'sidecar' }>;

/**
 * The row of the run that a sidecar is to have and has not yet; null where there is nothing to do. A run draws on its parent's
 * budget as it spends: its own cap sets nothing aside, so that many runs may share a budget smaller than the sum of their caps.
 */
function missingRun(live: Live, scope: Scope): ChildRow | null {
  if (scope.kind !== 'sidecar') return null;
  const spec = live.specs.get(scope.key);
  if (spec?.run === undefined || !live.documents.has(scope.key)) return null;
  const key = runKey(scope.key, spec.run, scope.run);
  // A manifest may bear that name: then there is no run.
  if (live.documents.has(key) || live.policy.manifests.virtualKeys.some(({ name }) => name === key)) return null;
  const { usdNano, ttlMs } = spec.run;
  const child: ChildSpec = { ...(usdNano !== undefined && { usdNano }) };
  return {
    key,
    parent: scope.key,
    spec: child,
    createdAtMs: scope.podCreatedAtMs,
    ...(ttlMs !== undefined && { expiresAtMs: scope.podCreatedAtMs + ttlMs }),
    run: ownerOf(spec.run, scope.run).name,
  };
}

/** Makes the keys of runs, many at once: each change of the state is told to every proxy. */
export interface Runs {
  /** True where this proxy's run has no key yet: it will have one in a moment, and a change tells so. */
  awaits(scope: Scope): boolean;
  close(): void;
}

export interface RunsDeps {
  readonly registry: Registry;
  readonly record: RecordEvent;
  readonly logger: Logger;
}

const gatherMs = 5;
const retryMs = 1_000;

/** Nobody waits yet. A key that cannot be written, most likely since a disk is full, is tried again each second. */
export function createRuns({ registry, record, logger }: RunsDeps): Runs {
  const waiting = new Map<string, SidecarScope>();
  let timer: NodeJS.Timeout | undefined;
  /** What the last change took: so long the next one gathers, so that proxies that come in a crowd leave time for calls. */
  let tookMs = 0;

  function make(scopes: readonly SidecarScope[]): void {
    registry.change((tx, live) => {
      const rows = new Map(scopes.flatMap((scope) => missingRun(live, scope) ?? []).map((row) => [row.key, row]));
      for (const row of rows.values()) {
        tx.keys.putChild(row);
        const detail = { by: 'run', parent: row.parent, run: row.run ?? '' };
        record(tx, { type: 'key_created', object: `VirtualKey ${row.key}`, detail });
      }
      return { changed: rows.size > 0, value: null };
    });
  }

  function makeAll(): void {
    const scopes = [...waiting.values()];
    const startMs = performance.now();
    timer = undefined;
    waiting.clear();
    try {
      make(scopes);
      tookMs = performance.now() - startMs;
    } catch (error) {
      logger.error({ err: error }, 'keys of runs could not be made; it is tried again in a second');
      for (const scope of scopes) waiting.set(scope.instance, scope);
      schedule(retryMs);
    }
  }

  function schedule(inMs: number): void {
    timer ??= setTimeout(makeAll, inMs).unref();
  }

  return {
    awaits(scope) {
      const live = registry.live();
      if (live === null || scope.kind !== 'sidecar' || missingRun(live, scope) === null) return false;
      waiting.set(scope.instance, scope);
      schedule(Math.max(gatherMs, tookMs));
      return true;
    },
    close() {
      clearTimeout(timer);
      waiting.clear();
    },
  };
}
