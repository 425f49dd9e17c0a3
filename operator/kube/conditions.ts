/** One entry of `status.conditions`, which the API conventions define as a map keyed by type. */
export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  /** CamelCase, for programs. */
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number;
  /** RFC 3339 time of the last change of `status`. */
  readonly lastTransitionTime: string;
}

/** The CRDs' limit of a condition's message: with a longer one, the API server would reject the whole status for ever. */
const maxMessageLength = 32_768;

/**
 * Puts `next` into the conditions, Ready first, the others by type. It keeps lastTransitionTime if the status stays the same.
 * If nothing changed, it returns the same array. It cuts a message that is too long.
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

/** Cuts at whole characters: the API server would replace half of one, and the message would differ at each reconciliation. */
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
