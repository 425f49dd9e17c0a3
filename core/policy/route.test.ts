import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isRefusal } from '../errors.ts';
import type { ProviderKind } from '../manifest/providers.ts';
import type { PoolModel } from '../manifest/types.ts';
import { keyName, type PoolName } from '../names.ts';
import type { ModelPrice } from '../price/types.ts';
import type { KeyDocument, PoolDocument } from './documents.ts';
import { knownModel, listModels, routeFree, routeModel } from './route.ts';

function model(name: string, upstreamName = name): PoolModel {
  return { name, upstreamName, price: { input: 1, output: 1 } };
}

function pool(name: string, provider: ProviderKind, ...models: readonly PoolModel[]): PoolDocument {
  return {
    pool: name as PoolName,
    provider,
    endpoint: 'https://x',
    keys: [],
    models,
    book: [],
    freeFields: [],
    learned: {},
    priceBookDigest: '',
  };
}

const openai = pool('sys/openai', 'OpenAI', model('gpt-5'), model('gpt-5-mini'), model('cheap', 'gpt-4-upstream'));
const router = pool('sys/router', 'OpenRouter', model('openai/gpt-5'), model('gpt-5'));
const anthropic = pool('sys/anthropic', 'Anthropic', model('claude-sonnet-5'));
const pools = new Map([openai, router, anthropic].map((document) => [document.pool, document]));

function key(models: Partial<KeyDocument['models']> = {}, names: readonly string[] = [...pools.keys()]): KeyDocument {
  return {
    key: keyName('agents', 'bot'),
    path: [],
    owner: {},
    labels: {},
    pools: names as readonly PoolName[],
    models: { allow: [], deny: [], aliases: {}, ...models },
    perRequest: {},
    counted: false,
    digest: '',
  };
}

/** `pool>upstream` of each candidate (with `?` where there is no price), or the refusal's message. */
function route(document: KeyDocument, name: string, speaks: (pool: PoolDocument) => boolean = () => true): readonly string[] | string {
  const routed = routeModel(document, pools, name, speaks);
  if (isRefusal(routed)) {
    assert.equal(routed.code, 'model_denied');
    return routed.message;
  }
  return routed.map(({ pool: { pool: from }, upstreamModel, price }) => `${from}>${upstreamModel}${price === null ? '?' : ''}`);
}

describe('routeModel', () => {
  it('finds the exact name in pool order', () => {
    assert.deepEqual(route(key(), 'gpt-5'), ['sys/openai>gpt-5', 'sys/router>gpt-5']);
    assert.deepEqual(route(key({}, ['sys/router', 'sys/openai']), 'gpt-5'), ['sys/router>gpt-5', 'sys/openai>gpt-5']);
  });

  it('denies a model under its dated names too, as the price book knows them', () => {
    const price = { rates: {}, tiers: [] } as unknown as ModelPrice;
    const booked: PoolDocument = {
      ...pool('sys/openai', 'OpenAI', model('mine', 'gpt-5-2026-03-05')),
      book: [
        { id: 'gpt-5-mini', match: { startsWith: 'gpt-5-mini' }, price },
        { id: 'gpt-5', match: { startsWith: 'gpt-5' }, price },
      ],
    };
    const served = new Map([[booked.pool, booked]]);
    const denied = (name: string): boolean => isRefusal(routeModel(key({ deny: ['gpt-5'] }), served, name, () => true));
    assert.deepEqual(['gpt-5', 'gpt-5-2026-03-05', 'GPT-5-20260305', 'openai/gpt-5-2026-03-05', 'mine'].map(denied), [
      true,
      true,
      true,
      true,
      true,
    ]);
    assert.equal(denied('gpt-5-mini-2026-03-05'), false);
    assert.deepEqual(
      listModels(key({ deny: ['gpt-5'] }), served).map(({ id }) => id),
      ['gpt-5-mini'],
    );
  });

  it('sends the provider the upstream name and shows the public one', () => {
    const routed = routeModel(key(), pools, 'cheap', () => true);
    assert.ok(!isRefusal(routed));
    assert.deepEqual(
      routed.map(({ model: name, upstreamModel }) => [name, upstreamModel]),
      [['cheap', 'gpt-4-upstream']],
    );
  });

  it('applies an alias once, before all else', () => {
    const document = key({ aliases: { fast: 'gpt-5-mini', 'gpt-5-mini': 'gpt-5' } });
    assert.deepEqual(route(document, 'fast'), ['sys/openai>gpt-5-mini']);
    assert.deepEqual(route(document, 'gpt-5-mini'), ['sys/openai>gpt-5', 'sys/router>gpt-5']);
    assert.match(route(document, 'constructor') as string, /may not use the model "constructor"/);
  });

  it('reads <pool>/<model> after the exact name, by the short and by the full name', () => {
    assert.deepEqual(route(key({}, ['sys/openai']), 'openai/gpt-5'), ['sys/openai>gpt-5']);
    assert.deepEqual(route(key(), 'sys/router/gpt-5'), ['sys/router>gpt-5']);
    assert.deepEqual(route(key(), 'openai/gpt-5'), ['sys/router>openai/gpt-5']);
  });

  it('falls to the prefixed reading where the exact one is not allowed', () => {
    assert.deepEqual(route(key({ allow: [['gpt-5']] }), 'openai/gpt-5'), ['sys/openai>gpt-5']);
  });

  it('prefers the pool that a prefix names to a price book that merely recognises the name', () => {
    const price = { rates: {} as never, tiers: [], fees: {}, percent: {} };
    const loose = { ...pool('sys/loose', 'Gemini'), book: [{ id: 'claude', match: { contains: 'claude' }, price }] };
    const all = new Map([loose, anthropic].map((document) => [document.pool, document]));
    const routed = routeModel(key({}, ['sys/loose', 'sys/anthropic']), all, 'anthropic/claude-sonnet-5', () => true);
    assert.ok(!isRefusal(routed));
    assert.deepEqual(
      routed.map((candidate) => candidate.pool.pool),
      ['sys/anthropic'],
    );
  });

  it('demands a match in every allow list', () => {
    const document = key({ allow: [['gpt-*'], ['*-mini', 'claude-*']] });
    assert.deepEqual(route(document, 'gpt-5-mini'), ['sys/openai>gpt-5-mini']);
    assert.equal(route(document, 'gpt-5'), 'key agents/bot may not use the model "gpt-5"; allowed: gpt-5-mini');
    assert.equal(typeof route(document, 'claude-sonnet-5'), 'string');
  });

  it('lets nothing evade a denial: no alias, prefix, letter case or pool’s own name', () => {
    const document = key({ deny: ['gpt-5', 'gpt-4*'], aliases: { fast: 'gpt-5' } });
    for (const name of ['gpt-5', 'fast', 'sys/openai/gpt-5', 'GPT-5', 'cheap']) assert.equal(typeof route(document, name), 'string', name);
    assert.deepEqual(route(document, 'gpt-5-mini'), ['sys/openai>gpt-5-mini']);
  });

  it('gives a model that is allowed by name but has no price', () => {
    const document = key({ allow: [['new-*']] });
    assert.deepEqual(route(document, 'new-1'), ['sys/openai>new-1?', 'sys/router>new-1?', 'sys/anthropic>new-1?']);
    assert.deepEqual(route(document, 'anthropic/new-1'), ['sys/anthropic>new-1?']);
    assert.equal(typeof route(key(), 'new-1'), 'string');
  });

  it('keeps to pools that speak the dialect, and says so where none does', () => {
    const speaks = ({ provider }: PoolDocument) => provider === 'Anthropic';
    assert.deepEqual(route(key(), 'claude-sonnet-5', speaks), ['sys/anthropic>claude-sonnet-5']);
    assert.equal(
      route(key(), 'gpt-5', speaks),
      'key agents/bot may use the model "gpt-5", but not at this endpoint; call it at one that OpenAI or OpenRouter serves',
    );
    assert.equal(route(key(), 'nothing', speaks), 'key agents/bot may not use the model "nothing"; allowed: claude-sonnet-5');
  });

  it('names ten allowed models at most, and cuts a long name short', () => {
    const many = pool('sys/many', 'OpenAI', ...Array.from({ length: 13 }, (_, i) => model(`m${i}`)));
    const routed = routeModel(key({}, ['sys/many']), new Map([[many.pool, many]]), 'x'.repeat(5000), () => true);
    assert.ok(isRefusal(routed));
    assert.equal(
      routed.message,
      `key agents/bot may not use the model "${'x'.repeat(64)}…"; allowed: m0, m1, m2, m3, m4, m5, m6, m7, m8, m9 and 3 more`,
    );
  });

  it('remembers results by document, not across documents', () => {
    const document = key();
    assert.equal(
      routeModel(document, pools, 'gpt-5', () => true),
      routeModel(document, pools, 'gpt-5', () => true),
    );
    assert.equal(typeof route(key({ deny: ['*'] }), 'gpt-5'), 'string');
    assert.equal(isRefusal(routeModel(document, new Map(), 'gpt-5', () => true)), true);
  });
});

describe('a name that moves from model to model', () => {
  it('is refused with the way to price it, if only its price is missing', () => {
    const named = routeModel(key(), pools, 'gemini-flash-latest', () => true);
    assert.ok(isRefusal(named));
    assert.match(named.message, /moves from model to model.*spec\.models of a pool/);
    const denied = routeModel(key({ deny: ['*-latest'] }), pools, 'gemini-flash-latest', () => true);
    assert.ok(isRefusal(denied));
    assert.doesNotMatch(denied.message, /moves/);
  });
});

describe('routeFree', () => {
  const free = (document: KeyDocument, name: string): unknown => {
    const routed = routeFree(document, pools, name, ({ provider }) => provider === 'OpenAI');
    return isRefusal(routed) ? routed.code : routed.map(({ pool: { pool: from }, upstreamModel }) => `${from}>${upstreamModel}`);
  };

  it('finds a pool that speaks the dialect for a model without a price, within policy', () => {
    assert.deepEqual(free(key(), 'omni-moderation-latest'), ['sys/openai>omni-moderation-latest']);
    assert.deepEqual(free(key({ aliases: { safe: 'omni-moderation-latest' } }), 'safe'), ['sys/openai>omni-moderation-latest']);
    assert.deepEqual(free(key({ allow: [['omni-*']] }), 'omni-moderation-latest'), ['sys/openai>omni-moderation-latest']);
    assert.equal(free(key({ allow: [['gpt-*']] }), 'omni-moderation-latest'), 'model_denied');
    assert.equal(free(key({ deny: ['omni-*'] }), 'omni-moderation-latest'), 'model_denied');
    assert.equal(free(key({}, ['sys/anthropic']), 'omni-moderation-latest'), 'model_denied');
  });
});

describe('listModels', () => {
  const ids = (document: KeyDocument, speaks?: (pool: PoolDocument) => boolean) =>
    listModels(document, pools, speaks).map(({ id, pool: from }) => `${from}:${id}`);

  it('lists each name once, from the first pool that serves it', () => {
    assert.deepEqual(ids(key()), [
      'sys/openai:gpt-5',
      'sys/openai:gpt-5-mini',
      'sys/openai:cheap',
      'sys/router:openai/gpt-5',
      'sys/anthropic:claude-sonnet-5',
    ]);
  });

  it('lists only what a call would reach, aliases too', () => {
    const document = key({
      allow: [['gpt-5*', 'cheap']],
      deny: ['gpt-4*'],
      aliases: { fast: 'gpt-5-mini', bad: 'cheap', 'gpt-5': 'nowhere' },
    });
    assert.deepEqual(ids(document), ['sys/openai:fast', 'sys/openai:gpt-5-mini']);
    for (const { id } of listModels(document, pools)) assert.ok(!isRefusal(routeModel(document, pools, id, () => true)), id);
  });

  it('keeps to pools that speak the dialect', () => {
    assert.deepEqual(
      ids(key(), ({ provider }) => provider === 'OpenRouter'),
      ['sys/router:openai/gpt-5', 'sys/router:gpt-5'],
    );
  });
});

describe('knownModel', () => {
  it('names a model as manifests do, also where the key may not use it', () => {
    const document = key({ aliases: { fast: 'gpt-5-mini' }, deny: ['claude-*'], allow: [['gpt-5-mini']] });
    const known = ['gpt-5', 'fast', 'claude-sonnet-5', 'sys/openai/cheap', 'openai/gpt-5-mini'].map((name) =>
      knownModel(document, pools, name),
    );
    assert.deepEqual(known, ['gpt-5', 'gpt-5-mini', 'claude-sonnet-5', 'cheap', 'gpt-5-mini']);
  });

  it('does not know what only the caller names, of any length', () => {
    for (const name of ['', 'my secret', 'openai/mine', 'x'.repeat(10_000)])
      assert.equal(knownModel(key({ allow: [[name]] }), pools, name), null);
  });
});
