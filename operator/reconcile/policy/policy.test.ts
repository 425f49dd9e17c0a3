import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import type { Reflector } from '../../kube/reflector.ts';
import { createPolicyController } from './policy.ts';

test('however often the policy is touched, adoptions leave half of the time to other work', async (t) => {
  let busyMs = 0;
  const none = { all: () => [] } as unknown as Reflector;
  const policy = createPolicyController({
    host: {
      adopt() {
        const startMs = performance.now();
        while (performance.now() - startMs < 60);
        busyMs += performance.now() - startMs;
        return [];
      },
      withdrawn: () => [],
      token: () => null,
      document: () => null,
      list: () => [],
      activeProxies: () => new Map(),
      rotate() {},
    },
    caches: { keys: none, pools: none, namespaces: none },
    poolNamespaces: [],
    opened: () => new Map(),
    onAdopted() {},
    logger: pino({ level: 'silent' }),
  });
  t.after(() => policy.close());
  const startMs = performance.now();
  policy.begin();
  while (performance.now() - startMs < 1_500) {
    policy.touch();
    await sleep(25);
  }
  assert.ok(busyMs > 200);
  assert.ok(busyMs < 0.6 * (performance.now() - startMs), `busy for ${busyMs} ms`);
});
