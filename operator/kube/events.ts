import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { microTime } from './lease.ts';
import { events } from './resources.ts';
import { type Bucket, createBucket } from './timing.ts';
import { type KubeClient, KubeError, type KubeObject } from './types.ts';

/** A repetition after this long begins a new Event, as in client-go. */
const seriesMs = 360_000;
/** Repetitions are counted here and written at most this often. */
const refreshMs = 60_000;
/** New Events about one object. */
const perObject = { atOnce: 10, everyMs: 60_000 };
/** Maximum of remembered series and objects; the least recently used are forgotten first. */
const maxRemembered = 1_000;
/** Maximum of running and waiting writes; further writes are dropped. */
const maxWrites = 100;
const maxNoteLength = 1_024;

interface EventsOptions {
  readonly client: KubeClient;
  /** `reportingController`, e.g. `keyforge.dev/operator`. */
  readonly component: string;
  /** `reportingInstance`, e.g. the Pod's name. */
  readonly instance: string;
  /** Wall clock, milliseconds. */
  readonly clock: () => number;
  readonly logger: Logger;
}

/** One thing that happened to an object. */
export interface EventFacts {
  readonly regarding: KubeObject;
  readonly type: 'Normal' | 'Warning';
  /** CamelCase, as is `action`. */
  readonly reason: string;
  /** For people; never contains a secret. */
  readonly note: string;
  readonly action: string;
}

/** Events for `kubectl describe`. A lost event does no harm: it retries nothing and never throws, and its memory is bounded. */
export interface Events {
  emit(event: EventFacts): void;
  /** Waits for running writes; drops unwritten counts. */
  close(): Promise<void>;
}

interface Series {
  readonly place: { readonly namespace: string; readonly name: string };
  count: number;
  lastMs: number;
  writtenMs: number;
}

/** Makes events. The same type, reason, action and note about the same object are one Event with a counted series. */
export function createEvents(options: EventsOptions): Events {
  return new Recorder(options);
}

class Recorder implements Events {
  readonly #options: EventsOptions;
  readonly #series = new Map<string, Series>();
  readonly #buckets = new Map<string, Bucket>();
  #tail = Promise.resolve();
  #writes = 0;
  #isClosed = false;

  constructor(options: EventsOptions) {
    this.#options = options;
  }

  emit(event: EventFacts): void {
    try {
      this.#record(event);
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'the operator cannot make an event');
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#tail;
  }

  #record(event: EventFacts): void {
    const nowMs = this.#options.clock();
    const about = reference(event.regarding);
    const key = JSON.stringify([about, event.type, event.reason, event.action, event.note]);
    const known = this.#series.get(key);
    if (known !== undefined && nowMs - known.lastMs < seriesMs) this.#repeat(key, known, nowMs);
    else if (this.#takeToken(JSON.stringify(about), nowMs)) this.#begin(key, { event, about, nowMs });
  }

  #repeat(key: string, known: Series, nowMs: number): void {
    known.count += 1;
    known.lastMs = nowMs;
    remember(this.#series, key, known);
    if (nowMs - known.writtenMs >= refreshMs) this.#writeCount(known);
  }

  #begin(
    key: string,
    { event, about, nowMs }: { readonly event: EventFacts; readonly about: ObjectReference; readonly nowMs: number },
  ): void {
    const { client, component, instance } = this.#options;
    const { type, reason, action, note } = event;
    const name = `${about.name.slice(0, 200)}.${randomBytes(8).toString('hex')}`;
    const place = { namespace: about.namespace ?? 'default', name };
    remember(this.#series, key, { place, count: 1, lastMs: nowMs, writtenMs: nowMs });
    this.#write(() =>
      client.create(events, {
        metadata: place,
        eventTime: microTime(nowMs),
        reportingController: component,
        reportingInstance: instance,
        regarding: about,
        type,
        reason,
        action,
        note: note.slice(0, maxNoteLength),
      }),
    );
  }

  #writeCount(known: Series): void {
    known.writtenMs = known.lastMs;
    const value = { count: known.count, lastObservedTime: microTime(known.lastMs) };
    this.#write(() => this.#options.client.patch(events, known.place, [{ op: 'add', path: '/series', value }]));
  }

  #takeToken(object: string, nowMs: number): boolean {
    const bucket = this.#buckets.get(object) ?? createBucket(perObject, nowMs);
    remember(this.#buckets, object, bucket);
    return bucket.take(nowMs);
  }

  /** Writes one after another, so that a burst of events does not take the connections that other work needs. */
  #write(send: () => Promise<unknown>): void {
    if (this.#isClosed || this.#writes >= maxWrites) return;
    this.#writes += 1;
    this.#tail = this.#tail.then(async () => {
      try {
        await send();
      } catch (error) {
        this.#options.logger.debug({ error: error instanceof KubeError ? error.message : String(error) }, 'an event was not written');
      }
      this.#writes -= 1;
    });
  }
}

function reference({ apiVersion, kind, metadata: { namespace, name, uid } }: KubeObject): ObjectReference {
  return { apiVersion, kind, namespace, name, uid };
}

interface ObjectReference {
  readonly apiVersion: string | undefined;
  readonly kind: string | undefined;
  readonly namespace: string | undefined;
  readonly name: string;
  readonly uid: string | undefined;
}

/** Moves a key to the end: maps keep the order of insertion, so the most recently used is last. */
function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > maxRemembered) for (const oldest of map.keys()) return void map.delete(oldest);
}
