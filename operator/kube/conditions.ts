/** One entry of `status.conditions`, by the API conventions a map keyed by type. */
export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  /** CamelCase, for programs. */
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number;
  /** RFC 3339: when `status` last became what it is. */
  readonly lastTransitionTime: string;
}

/** As CRDs bound a condition's message: one that is longer would have the whole status refused, for ever. */
const maxMessageLength = 32_768;

/**
 * The conditions with `next` in them, Ready first, the others by type. Keeps lastTransitionTime where the status stays the same.
 * The same array where nothing changed. A message that is too long is cut.
 */
export function setCondition(
  conditions: readonly Condition[],
  next: Omit<Condition, 'lastTransitionTime'>,
  nowIso: string,
): readonly Condition[] {
  const old = conditions.find(({ type }) => type === next.type);
  const lastTransitionTime = old?.status === next.status ? old.lastTransitionTime : nowIso;
  const condition = { ...next, message: cut(next.message), lastTransitionTime };
  if (old !== undefined && same(old, condition)) return conditions;
  return [...conditions.filter(({ type }) => type !== next.type), condition].toSorted(byType);
}

/** In whole characters: half of one would come back from the API server as another, and differ at each reconciliation. */
function cut(message: string): string {
  return message.length <= maxMessageLength ? message : `${message.slice(0, maxMessageLength - 1).toWellFormed()}…`;
}

function same(one: Condition, other: Condition | undefined): boolean {
  return (
    other !== undefined &&
    one.status === other.status &&
    one.reason === other.reason &&
    one.message === other.message &&
    one.observedGeneration === other.observedGeneration &&
    one.lastTransitionTime === other.lastTransitionTime
  );
}

function byType({ type: one }: Condition, { type: other }: Condition): number {
  if (one === 'Ready' || other === 'Ready') return one === 'Ready' ? -1 : 1;
  return one < other ? -1 : 1;
}
