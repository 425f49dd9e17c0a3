import type { Logger } from 'pino';
import { proxyOf } from '../inject/containers.ts';
import { injectLabel } from '../inject/names.ts';
import { because } from '../inject/reasons.ts';
import type { Events } from '../kube/events.ts';
import { createQueue } from '../kube/queue.ts';
import { createReflector, type Reflector } from '../kube/reflector.ts';
import { pods } from '../kube/resources.ts';
import type { KubeClient, KubeObject } from '../kube/types.ts';
import { hasEnded } from '../sessions/attest.ts';
import type { Sessions } from '../sessions/sessions.ts';

/** The Pods that hold a proxy, or should. */
export interface PodWatch {
  readonly synced: Promise<void>;
  /** Opted in, running, and without a proxy: created while the webhook was away, where no admission policy stood in. */
  withoutProxy(): number;
  staleForMs(): number;
  close(): Promise<void>;
}

export interface PodWatchDeps {
  readonly client: KubeClient;
  readonly sessions: Pick<Sessions, 'podChanged' | 'podGone' | 'instances'>;
  /** Everything that other proxies than these held is given up. */
  readonly retireAllBut: (living: ReadonlySet<string>) => Promise<void>;
  readonly events: Events;
  /** True where this replica writes events. */
  readonly leads: () => boolean;
  readonly gateway: { readonly namespace: string; readonly labelSelector: string } | null;
  readonly logger: Logger;
}

const sweepMs = 600_000;

/** Watches sidecars everywhere and gateways in their namespace; proxies whose Pod is gone are retired, also those that went unseen. */
export function watchPods(deps: PodWatchDeps): PodWatch {
  const { client, sessions, events, leads, logger } = deps;
  const told = new Set<string>();
  /** Uids. */
  const lacking = new Set<string>();
  /** What was kept of a Pod, to the whole of it, until its change is taken in. */
  const whole = new WeakMap<KubeObject, KubeObject>();

  /** Of thousands of Pods only what the sweep looks at: whole, five thousand take 90 MB. */
  function keep(pod: KubeObject): KubeObject {
    const { spec: _, status, metadata, ...rest } = pod;
    const { managedFields: __, labels: ___, annotations: ____, ...named } = metadata;
    const kept: KubeObject = { ...rest, metadata: named as KubeObject['metadata'], status: { phase: phaseOf(status) } };
    whole.set(kept, pod);
    return kept;
  }

  function changed(kept: KubeObject): void {
    const pod = whole.get(kept) ?? kept;
    whole.delete(kept);
    const { uid = '' } = pod.metadata;
    sessions.podChanged(pod);
    if (lacksProxy(pod)) lacking.add(uid);
    else lacking.delete(uid);
    if (!lacking.has(uid) || told.has(uid) || !leads()) return;
    told.add(uid);
    const { reason, message } = because(
      'NotInjected',
      `the Pod asks for a proxy (label ${injectLabel}) and has none: the webhook was away when it was created; delete the Pod, so that it is created anew`,
    );
    events.emit(pod, 'Warning', reason, message, 'Inject');
    logger.warn({ namespace: pod.metadata.namespace, pod: pod.metadata.name, reason }, message);
  }

  /** A Pod also leaves the watch when its label is taken away: then it lives on, and keeps what it has until it drifts. */
  const left = createQueue({
    async work(key) {
      const [namespace = '', name = '', uid = ''] = key.split('/');
      const live = await client.get(pods, { namespace, name });
      if (live?.metadata.uid === uid) sessions.podChanged(live);
      else sessions.podGone(uid);
    },
    concurrency: 4,
    backOff: { firstMs: 500, mostMs: 60_000 },
    logger,
  });

  function gone({ metadata: { namespace = '', name, uid = '' } }: KubeObject): void {
    told.delete(uid);
    lacking.delete(uid);
    left.add(`${namespace}/${name}/${uid}`);
  }

  const reflect = (scope: { readonly namespace?: string; readonly labelSelector: string }): Reflector =>
    createReflector({
      ...{ client, logger, scope, resource: pods, transform: keep },
      onChange(kind, pod) {
        if (kind === 'put') changed(pod);
        else gone(pod);
      },
    });
  const reflectors = [reflect({ labelSelector: `${injectLabel}=true` }), ...(deps.gateway === null ? [] : [reflect(deps.gateway)])];
  const synced = Promise.all(reflectors.map((reflector) => reflector.synced)).then(() => {});
  const staleForMs = (): number => Math.max(...reflectors.map((reflector) => reflector.staleForMs()));

  function sweep(): void {
    // A copy that is out of date says nothing of who lives.
    if (staleForMs() > 120_000) return;
    const seen = reflectors
      .flatMap((reflector) => reflector.all())
      .filter((pod) => !hasEnded(pod))
      .flatMap(({ metadata: { uid = '', ownerReferences = [] } }) => [uid, ...ownerReferences.map((owner) => owner.uid)]);
    deps.retireAllBut(new Set([...seen, ...sessions.instances()])).catch((error: unknown) => {
      // A full disk, most likely: the next sweep tries again.
      logger.error({ err: error }, 'what vanished proxies hold could not be given up');
    });
  }

  for (const reflector of reflectors) reflector.start();
  const sweeping = setInterval(sweep, sweepMs);
  sweeping.unref();
  void synced.then(sweep);
  return {
    synced,
    withoutProxy: () => lacking.size,
    staleForMs,
    async close() {
      clearInterval(sweeping);
      await Promise.all([...reflectors.map((reflector) => reflector.close()), left.close()]);
    },
  };
}

function phaseOf(status: unknown): unknown {
  return ((status ?? {}) as { readonly phase?: unknown }).phase;
}

function lacksProxy(pod: KubeObject): boolean {
  return pod.metadata.labels?.[injectLabel] === 'true' && !hasEnded(pod) && proxyOf(pod) === undefined;
}
