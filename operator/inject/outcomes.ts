import type { Logger } from 'pino';
import type { ClusterMetrics } from '../cluster/metrics.ts';
import { createBucket } from '../kube/bucket.ts';
import type { Events } from '../kube/events.ts';
import { type ReasonName, reasons } from './reasons.ts';
import type { ReviewDeps } from './review.ts';
import type { Injection } from './types.ts';

/** Events of reviews, whatever they are about. */
const steps = { atOnce: 20, everyMs: 3_000 };

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
  const room = createBucket(steps, clock());

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
      if (room.take(clock())) events.emit(regarding, 'Warning', told, `its Pod was ${became}: ${reasons[told]}`, 'Inject');
  };
}

function warningsOf(injection: Injection): readonly ReasonName[] {
  return injection.kind === 'patch' ? [...new Set(injection.warnings.map(({ reason }) => reason))] : [];
}
