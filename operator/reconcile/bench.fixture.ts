import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { pino } from 'pino';
import type { KeyName } from '../../core/names.ts';
import { type Bench, openBench } from '../broker.fixture.ts';
import { createEvents } from '../kube/events.ts';
import { namespaces, providerPools, secrets, virtualKeys } from '../kube/resources.ts';
import type { KubeClient, KubeObject } from '../kube/types.ts';
import { type Changes, createChanges } from './changes.ts';
import { createLeadership } from './leadership.ts';
import type { PolicyHost } from './policy/host.ts';
import { type Controllers, startControllers } from './start.ts';

const logger = pino({ level: 'silent' });

/** For tests: the controllers over a broker with a store of its own. */
export interface OperatorBench {
  readonly bench: Bench;
  readonly host: PolicyHost;
  readonly controllers: Controllers;
  readonly changes: Changes;
  /** Proxies to show as attached. */
  readonly proxies: Map<KeyName, number>;
  /** Begins a term, as an elector does. */
  lead(): void;
  /** Ends the term; settles when its last write has ended. */
  unlead(): Promise<void>;
  close(): Promise<void>;
}

/** Starts one operator; it leads unless `leads` is false. `bench`: use the store of a closed one. */
export function startOperator(
  client: KubeClient,
  options: { readonly leads?: () => boolean; readonly bench?: Bench; readonly poolNamespaces?: readonly string[] } = {},
): OperatorBench {
  const bench = options.bench ?? openBench({ poolProblems: 'withdraw' });
  const proxies = new Map<KeyName, number>();
  const host = hostOf(bench, proxies);
  const clock = Date.now;
  const events = createEvents({ client, component: 'keyforge.dev/operator', instance: 'test', clock, logger });
  const { leads = () => true } = options;
  const leadership = createLeadership();
  const changes = createChanges();
  let term = new AbortController();
  let work = Promise.resolve();
  const controllers = startControllers({
    client,
    host,
    events,
    namespace: 'keyforge-system',
    poolNamespaces: options.poolNamespaces ?? ['keyforge-system'],
    gatewayUrl: 'http://gateway.test',
    leadership,
    changes,
    random: randomBytes,
    clock,
    logger,
    refreshMs: 150,
  });
  function lead(): void {
    term = new AbortController();
    work = leadership.lead(term.signal, leads);
  }
  async function unlead(): Promise<void> {
    term.abort();
    await work;
  }
  bench.decides = leadership.decides;
  if (leads()) lead();
  return {
    bench,
    host,
    controllers,
    changes,
    proxies,
    lead,
    unlead,
    async close() {
      await unlead();
      await controllers.close();
      await events.close();
    },
  };
}

function hostOf(bench: Bench, proxies: ReadonlyMap<KeyName, number>): PolicyHost {
  const { broker } = bench;
  return {
    adopt: broker.adopt,
    withdrawn: () => broker.live()?.withdrawn ?? [],
    token: broker.token,
    document: (key) => broker.live()?.documents.get(key) ?? null,
    list: broker.desk.list,
    activeProxies: () => proxies,
    rotate: (key, overlapMs, actor) => void broker.desk.rotate(key, overlapMs, actor),
  };
}

/** Resolves when `look` returns something other than undefined or false; rejects with `what` after `withinMs`. */
export async function until<T>(what: string, look: () => T | Promise<T>, withinMs = 20_000): Promise<Exclude<T, undefined | false>> {
  const endMs = performance.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found as Exclude<T, undefined | false>;
    if (performance.now() > endMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await pause(5);
  }
}

/** A VirtualKey object. */
export function keyObject(namespace: string, name: string, spec: object, metadata: object = {}): KubeObject {
  return { apiVersion: 'keyforge.dev/v1alpha1', kind: virtualKeys.kind, metadata: { namespace, name, ...metadata }, spec };
}

/** A ProviderPool `openai` with one credential, `a`, from item `a` of Secret `openai`; open to every namespace. */
export function poolObject(spec: object = {}, name = 'openai', namespace = 'keyforge-system'): KubeObject {
  return {
    apiVersion: 'keyforge.dev/v1alpha1',
    kind: providerPools.kind,
    metadata: { namespace, name },
    spec: {
      provider: 'OpenAI',
      keys: [{ name: 'a', secretRef: { name: 'openai', key: 'a' } }],
      consumers: [{ namespaceSelector: {} }],
      models: [{ name: 'small', maxOutputTokens: 100, pricePerMillion: { input: '1', output: '2' } }],
      ...spec,
    },
  };
}

/** A Secret with one item or several. */
export function secretObject(namespace: string, name: string, items: Readonly<Record<string, string>>): KubeObject {
  const data = Object.fromEntries(Object.entries(items).map(([item, text]) => [item, Buffer.from(text).toString('base64')]));
  return { apiVersion: 'v1', kind: secrets.kind, type: 'Opaque', metadata: { namespace, name }, data };
}

/** A Namespace. */
export function namespaceObject(name: string, labels: Readonly<Record<string, string>> = {}): KubeObject {
  return { apiVersion: 'v1', kind: namespaces.kind, metadata: { name, labels } };
}

/** One item of a Secret as text. */
export function itemOf(secret: KubeObject | null | undefined, item: string): string | undefined {
  const data = secret?.['data'] as Readonly<Record<string, string>> | undefined;
  const packed = data?.[item];
  return packed === undefined ? undefined : Buffer.from(packed, 'base64').toString();
}

/** A condition as `Status Reason`. */
export function condition(object: KubeObject | null | undefined, type: string): string | undefined {
  const found = conditionOf(object, type);
  return found === undefined ? undefined : `${found['status']} ${found['reason']}`;
}

/** The message of the Ready condition; '' if there is none. */
export function messageOf(object: KubeObject | null | undefined): string {
  return String(conditionOf(object, 'Ready')?.['message'] ?? '');
}

/** The active credentials, as `name=value`. */
export function credentials({ bench }: OperatorBench): readonly string[] | undefined {
  return bench.broker.live()?.policy.credentials.map(({ name, value }) => `${name}=${value}`);
}

function conditionOf(object: KubeObject | null | undefined, type: string): Readonly<Record<string, unknown>> | undefined {
  const { conditions = [] } = (object?.['status'] ?? {}) as { readonly conditions?: readonly Record<string, unknown>[] };
  return conditions.find((entry) => entry['type'] === type);
}
