import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import type { ProviderKind } from '../../core/manifest/providers.ts';
import { findModel } from '../../core/price/book.ts';
import type { OwnEvent } from '../evidence/own-stream.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import type { Store } from '../store/types.ts';
import type { BookState } from './book.ts';
import { createPriceDesk, type PriceDesk } from './desk.ts';
import { ProviderPrices } from './prices.ts';

const startMs = Date.parse('2026-11-27T12:00:00Z');
const hourMs = 3_600_000;
const endpoint = 'https://api.openai.com';

interface World {
  readonly store: Store;
  readonly desk: PriceDesk;
  readonly log: readonly string[];
  readonly events: readonly OwnEvent[];
  /** The price of the model's input in force, dollars per million tokens. */
  input(model: string, at?: string): number | undefined;
  /** As if an earlier release had left this price of input in force. */
  remember(model: string, dollars: number): void;
  wait(hours: number): void;
  /** The next process over the same store. */
  restart(decides?: boolean): void;
}

function openWorld(): World {
  let nowMs = startMs;
  const log: string[] = [];
  const events: OwnEvent[] = [];
  const store = openSqliteStore({ path: ':memory:', clock: () => nowMs });
  const logger = pino({}, { write: (line: string) => void log.push(line) });
  let prices = new ProviderPrices({ decides: () => true, logger });
  const desk = (): PriceDesk => createPriceDesk({ store, prices, record: (_, event) => void events.push(event), onChange: () => {} });
  return {
    store,
    desk: { waiting: () => desk().waiting(), acknowledge: (...args) => desk().acknowledge(...args) },
    log,
    events,
    input(model, at = endpoint) {
      const book = store.transaction((tx) => prices.book(tx, 'OpenAI', at));
      const rate = findModel({ models: [], book, learned: {} }, model)?.price.rates.input;
      return rate === undefined ? undefined : rate / 1e6;
    },
    remember(model, dollars) {
      store.transaction((tx) => {
        const state = JSON.parse(tx.prices.state('OpenAI') ?? '{}') as BookState;
        const known = state[model] ?? { inForce: {}, falling: {}, risen: {} };
        tx.prices.putState(
          'OpenAI',
          JSON.stringify({ ...state, [model]: { ...known, inForce: { ...known.inForce, input: dollars * 1e6 } } }),
        );
      });
    },
    wait(hours) {
      nowMs += hours * hourMs;
    },
    restart(decides = true) {
      prices = new ProviderPrices({ decides: () => decides, logger });
    },
  };
}

test('a price that a new release lowers comes into force after 72 hours in which both sources agree, restarts included', () => {
  const world = openWorld();
  world.remember('gpt-5.4', 3);
  assert.equal(world.input('gpt-5.4'), 3);
  world.wait(71);
  world.restart();
  assert.equal(world.input('gpt-5.4'), 3);
  world.wait(1);
  assert.equal(world.input('gpt-5.4'), 2.5);
});

test('a price that a new release raises is in force at once', () => {
  const world = openWorld();
  world.remember('gpt-5.4', 2);
  assert.equal(world.input('gpt-5.4'), 2.5);
});

test('a price that falls by more than half waits, is logged once, and comes into force when an administrator accepts it, on record', () => {
  const world = openWorld();
  world.remember('gpt-5.4', 10);
  assert.equal(world.input('gpt-5.4'), 10);
  world.wait(200);
  assert.equal(world.input('gpt-5.4'), 10);
  const waits = world.desk.waiting().find(({ model }) => model === 'gpt-5.4')?.waits;
  assert.deepEqual(waits, [{ class: 'input', reason: 'fell', from: 10_000_000, to: 2_500_000, inForce: 10_000_000 }]);
  assert.equal(world.log.filter((line) => line.includes('gpt-5.4')).length, 1);
  assert.deepEqual(world.desk.acknowledge('OpenAI', 'gpt-5.4', 'admin'), ['gpt-5.4']);
  assert.equal(world.input('gpt-5.4'), 2.5);
  assert.deepEqual(world.events, [{ type: 'prices_acknowledged', object: 'OpenAI', actor: 'admin', detail: { models: 'gpt-5.4' } }]);
  assert.deepEqual(world.desk.acknowledge('OpenAI', 'gpt-5.4', 'admin'), []);
  world.restart();
  assert.equal(world.input('gpt-5.4'), 2.5);
});

test('accepting a provider accepts all of its models', () => {
  const world = openWorld();
  world.remember('gpt-5.4', 10);
  world.remember('o3', 10);
  assert.equal(world.input('o3'), 10);
  const accepted = world.desk.acknowledge('OpenAI', undefined, 'admin');
  assert.ok(accepted.includes('gpt-5.4') && accepted.includes('o3'));
  assert.deepEqual([world.input('gpt-5.4'), world.input('o3'), world.desk.waiting()], [2.5, 2, []]);
});

test('a process that does not decide follows what another wrote, and writes nothing', () => {
  const world = openWorld();
  world.remember('gpt-5.4', 10);
  const written = world.store.transaction((tx) => tx.prices.state('OpenAI'));
  world.restart(false);
  assert.equal(world.input('gpt-5.4'), 10);
  assert.equal(
    world.store.transaction((tx) => tx.prices.state('OpenAI')),
    written,
  );
});

test('an unchanged price is written once, so that other processes are not woken', () => {
  const world = openWorld();
  world.input('gpt-5.4');
  const revision = (): number => world.store.transaction((tx) => tx.keys.revision());
  const before = revision();
  world.wait(2);
  world.restart();
  world.input('gpt-5.4');
  assert.equal(revision(), before);
});

test('a pool at a regional host has the book of that host', () => {
  const world = openWorld();
  assert.equal(world.input('gpt-5.4', 'https://eu.api.openai.com'), 2.75);
  assert.equal(world.input('gpt-5.4', 'https://gateway.corp/api.openai.com'), 2.5);
});

test('every provider has a book', () => {
  const world = openWorld();
  const prices = new ProviderPrices({ decides: () => true, logger: pino({ level: 'silent' }) });
  const size = (kind: ProviderKind): number => world.store.transaction((tx) => prices.book(tx, kind, 'https://a.example').length);
  assert.ok(size('Gemini') > 10 && size('Anthropic') > 10 && size('OpenRouter') > 100);
  assert.equal(size('OpenAICompatible'), 0);
});
