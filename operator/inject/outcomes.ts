import type { Logger } from 'pino';
import type { Events } from '../kube/events.ts';
import { createBucket } from '../kube/timing.ts';
import { type ReasonName, reasons } from './reasons.ts';
import type { ReviewDeps } from './review.ts';
import type { Injection } from './types.ts';

/** Maximum rate of events about all reviews together. */
const eventRate = { atOnce: 20, everyMs: 3_000 };

interface OutcomesDeps {
  readonly metrics: { countInjection(outcome: string, reason: string): void; countWarning(reason: string): void };
  readonly events: Pick<Events, 'emit'>;
  /** Wall clock, milliseconds. */
  readonly clock: () => number;
  readonly logger: Logger;
}

/**
 * Reports the outcome for each Pod in metrics, log, and an event about the Pod's controller, if known; the Pod does not exist yet.
 * Anybody may send a review, so events are few and have only our own words. Only the answer to the Pod's creator names its containers.
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
    const became = outcome === 'refuse' ? 'refused' : 'injected';
    for (const each of outcome === 'refuse' ? [reason] : warnings) {
      if (!bucket.take(clock())) continue;
      events.emit({ regarding, type: 'Warning', reason: each, note: `its Pod was ${became}: ${reasons[each]}`, action: 'Inject' });
    }
  };
}

/** The reasons of an injection, the same in metrics, log and events. */
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
