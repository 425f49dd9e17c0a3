import type { Logger } from 'pino';
import type { Events } from '../kube/events.ts';
import { createBucket } from '../kube/timing.ts';
import { type ReasonName, reasons } from './reasons.ts';
import type { ReviewDeps } from './review.ts';
import type { Injection } from './types.ts';

/** Of events about all reviews together. */
const eventRate = { atOnce: 20, everyMs: 3_000 };

interface OutcomesDeps {
  readonly metrics: { countInjection(outcome: string, reason: string): void; countWarning(reason: string): void };
  readonly events: Pick<Events, 'emit'>;
  /** Wall clock, milliseconds. */
  readonly clock: () => number;
  readonly logger: Logger;
}

/**
 * Reports what became of each Pod: metrics, log, and an event about the Pod's controller, where that is known; the Pod itself does not exist yet.
 * Anybody may send a review, so events are few, and in our words alone: only the answer to whoever creates the Pod names its containers.
 */
export function createOutcomes({ metrics, events, clock, logger }: OutcomesDeps): ReviewDeps['onOutcome'] {
  const bucket = createBucket(eventRate, clock());

  return (namespace, pod, injection, owner) => {
    const { outcome, reason, warnings } = reportOf(injection);
    metrics.countInjection(outcome, reason);
    for (const warning of warnings) metrics.countWarning(warning);
    if (outcome === 'skip') return;
    logger.info({ namespace, pod, outcome, reason, warnings }, 'reviewed a Pod');
    if (owner === null) return;
    const { apiVersion, kind, name, uid } = owner;
    const regarding = { apiVersion, kind, metadata: { namespace, name, uid } };
    const became = outcome === 'refuse' ? 'refused' : 'given its proxy';
    for (const each of outcome === 'refuse' ? [reason] : warnings) {
      if (!bucket.take(clock())) continue;
      events.emit({ regarding, type: 'Warning', reason: each, note: `its Pod was ${became}: ${reasons[each]}`, action: 'Inject' });
    }
  };
}

/** An injection by its reasons alone: the same in metrics, log and events. */
interface Report {
  readonly outcome: Injection['kind'];
  readonly reason: ReasonName;
  /** Each once. */
  readonly warnings: readonly ReasonName[];
}

function reportOf(injection: Injection): Report {
  if (injection.kind !== 'patch') return { outcome: injection.kind, reason: injection.reason, warnings: [] };
  return { outcome: 'patch', reason: 'Injected', warnings: [...new Set(injection.warnings.map(({ reason }) => reason))] };
}
