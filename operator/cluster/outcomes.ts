import type { Logger } from 'pino';
import { type ReasonName, reasons } from '../injector/reasons.ts';
import type { ReviewDeps } from '../injector/review.ts';
import type { Injection } from '../injector/types.ts';
import type { Events } from '../kube/events.ts';
import type { ClusterMetrics } from './metrics.ts';

/** Events of reviews, whatever they are about: this many at once, then one in each `eventMs`. */
const burst = 20;
const eventMs = 3_000;

export interface OutcomesDeps {
  readonly metrics: Pick<ClusterMetrics, 'countInjection' | 'countWarning'>;
  readonly events: Pick<Events, 'emit'>;
  /** Wall clock, milliseconds. */
  readonly clock: () => number;
  readonly logger: Logger;
}

/**
 * Tells what became of each Pod: metrics, log, and an event about what makes the Pod, where that is known; the Pod itself is not there.
 * Anybody may send a review, so events are few, and in words of ours alone: whoever creates the Pod is told which container it is.
 */
export function createOutcomes({ metrics, events, clock, logger }: OutcomesDeps): ReviewDeps['onOutcome'] {
  let left = burst;
  let atMs = clock();

  function takesRoom(): boolean {
    const nowMs = clock();
    left = Math.min(burst, left + Math.max(0, nowMs - atMs) / eventMs);
    atMs = nowMs;
    if (left < 1) return false;
    left -= 1;
    return true;
  }

  return (namespace, pod, injection, owner) => {
    const reason = injection.kind === 'patch' ? 'Injected' : injection.reason;
    const warnings = warningsOf(injection);
    metrics.countInjection(injection.kind, reason);
    for (const warning of warnings) metrics.countWarning(warning);
    if (injection.kind === 'skip') return;
    logger.info({ namespace, pod, outcome: injection.kind, reason, warnings }, 'reviewed a Pod');
    if (owner === null) return;
    const { apiVersion, kind, name, uid } = owner;
    const regarding = { apiVersion, kind, metadata: { namespace, name, uid } };
    const became = injection.kind === 'refuse' ? 'refused' : 'given its proxy';
    for (const told of injection.kind === 'refuse' ? [injection.reason] : warnings)
      if (takesRoom()) events.emit(regarding, 'Warning', told, `its Pod was ${became}: ${reasons[told]}`, 'Inject');
  };
}

function warningsOf(injection: Injection): readonly ReasonName[] {
  return injection.kind === 'patch' ? [...new Set(injection.warnings.map(({ reason }) => reason))] : [];
}
