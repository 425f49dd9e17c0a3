/** Prices of one model by class, as integers; the unit of each class is that of its owner. */
export type Prices = Readonly<Record<string, number>>;

/** What two independent sources say about one model at one time. */
export interface Sources {
  /** Names every class that the model has. */
  readonly first: Prices;
  /** Names some of those classes; null: it does not know the model. */
  readonly second: Prices | null;
}

/** What an operator remembers of the prices of one model. */
export interface PriceState {
  /** Also of classes that the sources no longer name. */
  readonly inForce: Prices;
  /** Lower prices on which both sources agree, and since when, milliseconds. */
  readonly falling: Readonly<Record<string, { readonly price: number; readonly sinceMs: number }>>;
  /** The price before a rise by more than half, until somebody acknowledges the rise. */
  readonly risen: Prices;
  /** The offer that somebody acknowledged. */
  readonly acknowledged?: string;
}

/** Why somebody has to look at a class. */
export type WaitReason = 'sources_differ' | 'rose' | 'fell' | 'fell_without_agreement';

/** A class that waits for an acknowledgement. Until then the dearest figure applies. */
export interface Wait {
  readonly class: string;
  readonly reason: WaitReason;
  /** The price in force before the change, or the lower of two sources. */
  readonly from: number;
  /** The price after it, or the higher of two sources. */
  readonly to: number;
  readonly inForce: number;
}

/** How long both sources must agree on a lower price before it comes into force. */
export const agreementMs: number = 72 * 3_600_000;

/** True if the prices differ by more than half of the first. */
function isLarge(from: number, to: number): boolean {
  return Math.abs(to - from) * 2 > from;
}

/** The dearer figure of each class. */
function offered({ first, second }: Sources): Prices {
  return Object.fromEntries(Object.entries(first).map(([name, price]) => [name, Math.max(price, second?.[name] ?? price)]));
}

/** Identifies an offer, so that an acknowledgement covers what somebody saw, and nothing later. */
function offerId(offer: Prices): string {
  return JSON.stringify(Object.entries(offer).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The state after somebody acknowledged what the sources say now. */
export function acknowledge(state: PriceState, sources: Sources): PriceState {
  return { ...state, acknowledged: offerId(offered(sources)) };
}

/** The result for one class. */
interface Outcome {
  readonly inForce: number;
  readonly falling?: { readonly price: number; readonly sinceMs: number };
  readonly risenFrom?: number;
  readonly wait?: Omit<Wait, 'class' | 'inForce'>;
}

/** One class of one model. */
interface Question {
  readonly first: number;
  /** Undefined: only the first source names the class. */
  readonly second: number | undefined;
  /** Undefined: this operator never saw the class. */
  readonly before: number | undefined;
  readonly falling: PriceState['falling'][string] | undefined;
  readonly risenFrom: number | undefined;
  readonly isAcknowledged: boolean;
  readonly nowMs: number;
}

function fallen(question: Question, offer: number, before: number): Outcome {
  const { first, second, falling, nowMs } = question;
  if (first !== second) return { inForce: before, wait: { reason: 'fell_without_agreement', from: before, to: offer } };
  const sinceMs = falling?.price === offer ? falling.sinceMs : nowMs;
  if (isLarge(before, offer))
    return { inForce: before, falling: { price: offer, sinceMs }, wait: { reason: 'fell', from: before, to: offer } };
  return nowMs - sinceMs < agreementMs ? { inForce: before, falling: { price: offer, sinceMs } } : { inForce: offer };
}

function settleClass(question: Question): Outcome {
  const { first, second = first, before, risenFrom, isAcknowledged } = question;
  const offer = Math.max(first, second);
  if (isAcknowledged) return { inForce: offer };
  if (before !== undefined && offer < before) return fallen(question, offer, before);
  const from = risenFrom ?? before ?? offer;
  if (isLarge(from, offer)) return { inForce: offer, risenFrom: from, wait: { reason: 'rose', from, to: offer } };
  const lower = Math.min(first, second);
  return isLarge(lower, offer) ? { inForce: offer, wait: { reason: 'sources_differ', from: lower, to: offer } } : { inForce: offer };
}

/**
 * The prices in force of one model. The dearer of two sources applies. A rise applies at once. A fall applies once both sources
 * have agreed on it for 72 hours. A change by more than half, or a fall that only one source names, waits for an
 * acknowledgement, and the dearer of old and new applies until then. Pure, and the same question again changes nothing.
 */
export function settle(
  state: PriceState | null,
  sources: Sources,
  nowMs: number,
): { readonly state: PriceState; readonly waits: readonly Wait[] } {
  const { first, second } = sources;
  const isAcknowledged = state?.acknowledged !== undefined && state.acknowledged === offerId(offered(sources));
  const outcomes = Object.entries(first).map(([name, price]): readonly [string, Outcome] => {
    const before = state?.inForce[name];
    const question = { first: price, second: second?.[name], before, falling: state?.falling[name], risenFrom: state?.risen[name] };
    return [name, settleClass({ ...question, isAcknowledged, nowMs })];
  });
  const pick = <T>(value: (outcome: Outcome) => T | undefined): Readonly<Record<string, T>> =>
    Object.fromEntries(
      outcomes.flatMap(([name, outcome]) => {
        const picked = value(outcome);
        return picked === undefined ? [] : [[name, picked]];
      }),
    );
  const next: PriceState = {
    inForce: { ...state?.inForce, ...pick((outcome) => outcome.inForce) },
    falling: pick((outcome) => outcome.falling),
    risen: pick((outcome) => outcome.risenFrom),
    ...(isAcknowledged ? { acknowledged: state.acknowledged } : {}),
  };
  const waits = outcomes.flatMap(([name, { wait, inForce }]) => (wait === undefined ? [] : [{ class: name, ...wait, inForce }]));
  return { state: next, waits };
}
