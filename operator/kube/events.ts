import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { type Bucket, createBucket } from './bucket.ts';
import { microTime } from './lease.ts';
import { events } from './resources.ts';
import { type KubeClient, KubeError, type KubeObject } from './types.ts';

/** A repetition after so long begins a new Event, as in client-go. */
const seriesMs = 360_000;
/** Repetitions are counted here and written at most so often. */
const refreshMs = 60_000;
/** New Events about one object. */
const steps = { atOnce: 10, everyMs: 60_000 };
/** Series, and objects, that are remembered: the longest silent are forgotten first. */
const mostRemembered = 1_000;
/** Writes under way or waiting; what comes over it is dropped. */
const mostWrites = 100;
const mostNoteLength = 1_024;

export interface EventsOptions {
  readonly client: KubeClient;
  /** `reportingController`, e.g. `keyforge.dev/operator`. */
  readonly component: string;
  /** `reportingInstance`, e.g. the Pod's name. */
  readonly instance: string;
  /** Wall clock, milliseconds. */
  readonly clock: () => number;
  readonly logger: Logger;
}

/** What people see in `kubectl describe`. Losing one is no loss: nothing is retried, nothing throws, memory is bounded. */
export interface Events {
  /** `reason` and `action` in CamelCase; `note` for people, never with a secret in it. */
  emit(regarding: KubeObject, type: 'Normal' | 'Warning', reason: string, note: string, action: string): void;
  /** Waits for what is being written; counts not yet written are dropped. */
  close(): Promise<void>;
}

interface Series {
  readonly place: { readonly namespace: string; readonly name: string };
  count: number;
  lastMs: number;
  writtenMs: number;
}

/** The same type, reason, action and note about the same object is one Event whose series is counted. */
export function createEvents({ client, component, instance, clock, logger }: EventsOptions): Events {
  const series = new Map<string, Series>();
  const rooms = new Map<string, Bucket>();
  let tail = Promise.resolve();
  let writes = 0;
  let closed = false;

  function emit(regarding: KubeObject, type: 'Normal' | 'Warning', reason: string, note: string, action: string): void {
    const nowMs = clock();
    const about = reference(regarding);
    const key = JSON.stringify([about, type, reason, action, note]);
    const known = series.get(key);
    if (known !== undefined && nowMs - known.lastMs < seriesMs) {
      known.count += 1;
      known.lastMs = nowMs;
      remember(series, key, known);
      if (nowMs - known.writtenMs >= refreshMs) count(known);
      return;
    }
    if (!takesRoom(JSON.stringify(about), nowMs)) return;
    const namespace = about.namespace ?? 'default';
    const place = { namespace, name: `${about.name.slice(0, 200)}.${randomBytes(8).toString('hex')}` };
    remember(series, key, { place, count: 1, lastMs: nowMs, writtenMs: nowMs });
    write(() =>
      client.create(events, {
        metadata: place,
        eventTime: microTime(nowMs),
        reportingController: component,
        reportingInstance: instance,
        regarding: about,
        type,
        reason,
        action,
        note: note.slice(0, mostNoteLength),
      }),
    );
  }

  function count(known: Series): void {
    known.writtenMs = known.lastMs;
    const value = { count: known.count, lastObservedTime: microTime(known.lastMs) };
    write(() => client.patch(events, known.place, [{ op: 'add', path: '/series', value }]));
  }

  function takesRoom(object: string, nowMs: number): boolean {
    const room = rooms.get(object) ?? createBucket(steps, nowMs);
    remember(rooms, object, room);
    return room.take(nowMs);
  }

  /** One after the other: a burst of events must not take the connections that the work needs. */
  function write(send: () => Promise<unknown>): void {
    if (closed || writes >= mostWrites) return;
    writes += 1;
    tail = tail.then(async () => {
      try {
        await send();
      } catch (error) {
        logger.debug({ error: error instanceof KubeError ? error.message : String(error) }, 'an event was not written');
      }
      writes -= 1;
    });
  }

  return {
    emit: (...told) => {
      try {
        emit(...told);
      } catch (error) {
        logger.warn({ err: error }, 'an event could not be made');
      }
    },
    async close() {
      closed = true;
      await tail;
    },
  };
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

/** Maps keep the order of insertion: what was used last is at the end. */
function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > mostRemembered) for (const oldest of map.keys()) return void map.delete(oldest);
}
