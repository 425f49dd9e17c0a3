import type { Logger } from 'pino';
import type { VirtualKeySpec } from '../../../core/manifest/types.ts';
import { type KeyName, type ObjectKind, type ObjectRef, objectId, objectRef, type PoolName } from '../../../core/names.ts';
import { Adopter, type AdopterDeps, type Adoption } from './adoption.ts';
import type { Verdict } from './fallback.ts';

/** A burst of changes is adopted together: after this much quiet, and after this long at the latest. */
const quietMs = 20;
const longestMs = 200;
const retryMs = 1_000;

/** Assembles the policy from the caches and adopts it. */
export interface PolicyController {
  /** Notes a change of an object of the policy. Nothing happens before `begin`. */
  touch(): void;
  /** Notes that the caches are complete: from now on, objects that they lack are gone. */
  begin(): void;
  readonly adopted: Promise<void>;
  /** The outcome for an object in the last adoption; undefined if that did not include the object of this uid. */
  verdict(object: ObjectRef, uid: string | undefined): Verdict | undefined;
  /** The spec in force of a declared key, which may be an older one. */
  spec(key: KeyName): VirtualKeySpec | undefined;
  /** How many keys use a pool now. */
  consumers(pool: PoolName): number;
  /** By kind: number of objects whose latest version is not in force. */
  problems(): ReadonlyMap<string, number>;
  close(): void;
}

interface PolicyDeps extends AdopterDeps {
  /** Called after an adoption with the objects for which it changed something. */
  readonly onAdopted: (changed: readonly ObjectRef[]) => void;
  readonly logger: Logger;
}

/** Makes the controller. It adopts nothing before `begin`, because an empty cache would end every key. */
export function createPolicyController(deps: PolicyDeps): PolicyController {
  return new Controller(deps);
}

class Controller implements PolicyController {
  readonly adopted: Promise<void>;
  readonly #deps: Pick<PolicyDeps, 'onAdopted' | 'logger'>;
  readonly #adopter: Adopter;
  readonly #firstAdoption = Promise.withResolvers<void>();
  #last: Adoption | null = null;
  #phase: 'waiting' | 'begun' | 'closed' = 'waiting';
  #timer: NodeJS.Timeout | undefined;
  /** Time of the first change that no adoption has included yet. */
  #touchedMs: number | null = null;
  /** After an adoption, no other begins for as long as it took, so that continuous edits leave half of the time for calls. */
  #pausedUntilMs = 0;

  constructor(deps: PolicyDeps) {
    this.#deps = deps;
    this.#adopter = new Adopter(deps);
    this.adopted = this.#firstAdoption.promise;
  }

  touch(): void {
    if (this.#phase !== 'begun') return;
    const nowMs = performance.now();
    this.#touchedMs ??= nowMs;
    this.#schedule(Math.max(0, this.#pausedUntilMs - nowMs, Math.min(quietMs, this.#touchedMs + longestMs - nowMs)));
  }

  begin(): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'begun';
    this.#adopt();
  }

  verdict(object: ObjectRef, uid: string | undefined): Verdict | undefined {
    const id = objectId(object);
    return this.#last?.uids.get(id) === uid ? this.#last?.verdicts.get(id) : undefined;
  }

  spec(key: KeyName): VirtualKeySpec | undefined {
    return this.#last?.specs.get(key);
  }

  consumers(pool: PoolName): number {
    return this.#last?.consumers.get(pool) ?? 0;
  }

  problems(): ReadonlyMap<string, number> {
    const counts = new Map<ObjectKind, number>([
      ['VirtualKey', 0],
      ['ProviderPool', 0],
    ]);
    for (const [id, { problems }] of this.#last?.verdicts ?? []) {
      const { kind } = objectRef(id);
      if (problems.length > 0) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
    return counts;
  }

  close(): void {
    this.#phase = 'closed';
    clearTimeout(this.#timer);
  }

  #schedule(inMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#adopt(), inMs);
  }

  #adopt(): void {
    this.#touchedMs = null;
    const startMs = performance.now();
    try {
      const previous = this.#last;
      this.#last = this.#adopter.adopt();
      this.#deps.onAdopted(changedBetween(previous, this.#last));
      this.#firstAdoption.resolve();
    } catch (error) {
      // Probably the store cannot write: the last good state stays in force, and the change stays due.
      this.#deps.logger.error({ err: error }, 'the operator cannot adopt the policy; it retries in a second');
      this.#schedule(retryMs);
    }
    const endMs = performance.now();
    this.#pausedUntilMs = endMs + (endMs - startMs);
  }
}

function changedBetween(previous: Adoption | null, current: Adoption): readonly ObjectRef[] {
  const ids = new Set([...current.fingerprints.keys(), ...(previous?.fingerprints.keys() ?? [])]);
  return [...ids].filter((id) => current.fingerprints.get(id) !== previous?.fingerprints.get(id)).map(objectRef);
}
