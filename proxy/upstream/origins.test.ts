import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyName } from '../../core/names.ts';
import type { PoolDocument } from '../../core/policy/documents.ts';
import { poolDocument } from '../line.fixture.ts';
import { openAi } from '../provider/openai.ts';
import { createOrigins, defaultUpstreamSettings } from './origins.ts';

test('sockets of endpoints that no pool has any more are forgotten, but not while a call uses them', async (t) => {
  const origins = createOrigins(defaultUpstreamSettings, () => 0);
  t.after(() => origins.close());
  const at = (endpoint: string): PoolDocument => poolDocument({ endpoint });
  const dispatcherOf = (endpoint: string): unknown => origins.of(at(endpoint), openAi).dispatcher;
  const [kept, used, gone] = ['https://kept.test', 'https://used.test', 'https://gone.test'].map(dispatcherOf);
  const bot = [keyName('agents', 'bot')] as const;
  const { slots } = origins.of(at('https://used.test'), openAi);
  assert.equal(
    slots.take(bot, () => new AbortController().signal),
    true,
  );

  origins.keepOnly([at('https://kept.test')]);
  assert.equal(dispatcherOf('https://kept.test'), kept);
  assert.equal(dispatcherOf('https://used.test'), used);
  assert.deepEqual(origins.load(), { used: 1, waiting: 0 });
  assert.notEqual(dispatcherOf('https://gone.test'), gone);

  slots.release(bot);
  origins.keepOnly([at('https://kept.test')]);
  assert.notEqual(dispatcherOf('https://used.test'), used);
  // The same endpoint with other bounds has sockets of its own.
  origins.keepOnly([poolDocument({ endpoint: 'https://kept.test', maxConnections: 1 })]);
  assert.notEqual(dispatcherOf('https://kept.test'), kept);
});
