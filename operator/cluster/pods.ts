import type { Logger } from 'pino';
import { isObject } from '../../core/json.ts';
import { injectLabel } from '../inject/names.ts';
import { viewOf } from '../inject/pod-view.ts';
import { because } from '../inject/reasons.ts';
import type { Events } from '../kube/events.ts';
import { createQueue, type Queue } from '../kube/queue.ts';
import { createReflector, type Reflector } from '../kube/reflector.ts';
import { pods } from '../kube/resources.ts';
import type { KubeClient, KubeObject } from '../kube/types.ts';
import type { Leadership } from '../reconcile/leadership.ts';
import { hasEnded } from '../sessions/pod-scope.ts';
import type { Sessions } from '../sessions/sessions.ts';

/** The Pods that hold a proxy, or should. */
export interface PodWatch {
  readonly synced: Promise<void>;
  /** Counts running Pods that are labelled for injection and have no proxy: neither webhook nor admission policy was in force at their creation. */
  withoutProxy(): number;
  staleForMs(): number;
  close(): Promise<void>;
}

interface PodWatchDeps {
  readonly client: KubeClient;
  readonly sessions: Pick<Sessions, 'podChanged' | 'podGone' | 'instances'>;
  /** Retires the proxies of all Pods except these. */
  readonly retireAllBut: (living: ReadonlySet<string>) => Promise<void>;
  readonly events: Events;
  /** The leader writes the events. */
  readonly leadership: Pick<Leadership, 'leads'>;
  readonly gateway: { readonly namespace: string; readonly labelSelector: string } | null;
  readonly logger: Logger;
}

const sweepMs = 600_000;
/** A cache that is stale for longer does not show which Pods exist. */
const maxStaleMs = 120_000;

/** Watches sidecars everywhere and gateways in their namespace. It retires the proxies of deleted Pods, even if it missed their deletion. */
export function watchPods(deps: PodWatchDeps): PodWatch {
  const watch = new ProxyPods(deps);
  watch.start();
  return watch;
}

class ProxyPods implements PodWatch {
  readonly synced: Promise<void>;
  readonly #deps: PodWatchDeps;
  readonly #reflectors: readonly Reflector[];
  readonly #left: Queue;
  /** Metadata of each Pod that left the watch, by its name in the queue. */
  readonly #leavers = new Map<string, KubeObject['metadata']>();
  /** Uids of Pods without a proxy, and of those that an event has reported. */
  readonly #lacking = new Set<string>();
  readonly #reported = new Set<string>();
  /** The whole Pod by its reduced object in the cache, until its change is handled. */
  readonly #whole = new WeakMap<KubeObject, KubeObject>();
  #sweeping: NodeJS.Timeout | undefined;

  constructor(deps: PodWatchDeps) {
    const { gateway, logger } = deps;
    this.#deps = deps;
    this.#reflectors = [{ labelSelector: `${injectLabel}=true` }, ...(gateway === null ? [] : [gateway])].map((scope) =>
      this.#reflect(scope),
    );
    this.#left = createQueue({ work: (name) => this.#lookUp(name), concurrency: 4, backOff: { firstMs: 500, maxMs: 60_000 }, logger });
    this.synced = Promise.all(this.#reflectors.map(({ synced }) => synced)).then(() => {});
  }

  start(): void {
    for (const reflector of this.#reflectors) reflector.start();
    this.#sweeping = setInterval(() => this.#sweep(), sweepMs);
    this.#sweeping.unref();
    void this.synced.then(() => this.#sweep());
  }

  withoutProxy(): number {
    return this.#lacking.size;
  }

  staleForMs(): number {
    return Math.max(...this.#reflectors.map((reflector) => reflector.staleForMs()));
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeping);
    await Promise.all([...this.#reflectors.map((reflector) => reflector.close()), this.#left.close()]);
  }

  #reflect(scope: { readonly namespace?: string; readonly labelSelector: string }): Reflector {
    const { client, logger } = this.#deps;
    return createReflector({
      client,
      logger,
      scope,
      resource: pods,
      transform: (pod) => this.#reduce(pod),
      onChange: (kind, pod) => {
        if (kind === 'put') this.#changed(pod);
        else this.#gone(pod);
      },
    });
  }

  /** Keeps only what the sweep reads, because five thousand whole Pods take 90 MB. */
  #reduce(pod: KubeObject): KubeObject {
    const { spec: _, status, metadata, ...rest } = pod;
    const { managedFields: __, labels: ___, annotations: ____, ...named } = metadata;
    const kept: KubeObject = { ...rest, metadata: named as KubeObject['metadata'], status: { phase: phaseOf(status) } };
    this.#whole.set(kept, pod);
    return kept;
  }

  #changed(kept: KubeObject): void {
    const pod = this.#whole.get(kept) ?? kept;
    this.#whole.delete(kept);
    const { uid = '' } = pod.metadata;
    this.#deps.sessions.podChanged(pod);
    if (lacksProxy(pod)) this.#lacking.add(uid);
    else this.#lacking.delete(uid);
    if (!this.#lacking.has(uid) || this.#reported.has(uid) || !this.#deps.leadership.leads()) return;
    this.#reported.add(uid);
    this.#report(pod);
  }

  #report(pod: KubeObject): void {
    const { reason, message } = because(
      'NotInjected',
      `the Pod has the label ${injectLabel} and no proxy: the webhook was unavailable when it was created; delete the Pod, so that it is created again`,
    );
    this.#deps.events.emit({ regarding: pod, type: 'Warning', reason, note: message, action: 'Inject' });
    this.#deps.logger.warn({ namespace: pod.metadata.namespace, pod: pod.metadata.name, reason }, message);
  }

  #gone({ metadata }: KubeObject): void {
    const { namespace = '', name, uid = '' } = metadata;
    this.#reported.delete(uid);
    this.#lacking.delete(uid);
    const leaver = `${namespace}/${name}/${uid}`;
    this.#leavers.set(leaver, metadata);
    this.#left.add(leaver);
  }

  /** Checks a Pod that left the watch. If only its label was removed, it still runs and keeps its session until it drifts. */
  async #lookUp(leaver: string): Promise<void> {
    const left = this.#leavers.get(leaver);
    if (left === undefined) return;
    const { namespace = '', name, uid = '' } = left;
    const live = await this.#deps.client.get(pods, { namespace, name });
    if (live?.metadata.uid === uid) this.#deps.sessions.podChanged(live);
    else this.#deps.sessions.podGone(uid);
    // It may have returned and left again in the meantime.
    if (this.#leavers.get(leaver) === left) this.#leavers.delete(leaver);
  }

  #sweep(): void {
    if (this.staleForMs() > maxStaleMs) return;
    const { sessions, retireAllBut, logger } = this.#deps;
    const seen = this.#reflectors
      .flatMap((reflector) => reflector.all())
      .filter((pod) => !hasEnded(pod))
      .flatMap(({ metadata: { uid = '', ownerReferences = [] } }) => [uid, ...ownerReferences.map((owner) => owner.uid)]);
    retireAllBut(new Set([...seen, ...sessions.instances()])).catch((error: unknown) => {
      // Probably the disk is full: the next sweep retries.
      logger.error({ err: error }, 'the operator cannot retire the proxies of deleted Pods; it retries');
    });
  }
}

function phaseOf(status: unknown): unknown {
  return isObject(status) ? status['phase'] : undefined;
}

function lacksProxy(pod: KubeObject): boolean {
  const { isOptedIn, proxy } = viewOf(pod);
  return isOptedIn && proxy === undefined && !hasEnded(pod);
}
